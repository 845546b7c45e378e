"""What is declared and not built is refused by name, never ignored."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest

from ntlbg_model.built import METHODS, unbuilt
from ntlbg_model.config import (
    Config,
    DataConfig,
    DatasetConfig,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    Reducer,
    RichPointsConfig,
    SelectionConfig,
    SelectionMethod,
    TemporalConfig,
    TrainingConfig,
)


def selection(**options: object) -> Config:
    return Config(selection=SelectionConfig(**options))


def model(**options: object) -> Config:
    return Config(model=ModelConfig(**options))


def loss(**options: float) -> Config:
    return Config(training=TrainingConfig(loss=LossConfig(**options)))


def data(**options: str) -> Config:
    return Config(data=DataConfig(evaluation=(DatasetConfig(name="d", path="d", **options),)))


CASES = {
    "selection.features = 'clip'": selection(features="clip"),
    "selection.features = 'backbone'": selection(features="backbone"),
    "selection.query = 'learned'": selection(query="learned"),
    "model.quantisation = 'nf4'": model(quantisation="nf4"),
    "model.quantisation = 'int8'": model(quantisation="int8"),
    "model.feature_alignment = 'structural_similarity'": model(
        feature_alignment="structural_similarity"
    ),
    "model.rich_points.enabled = True": model(rich_points=RichPointsConfig(enabled=True)),
    "model.temporal.layers = 2": model(temporal=TemporalConfig(layers=2)),
    "model.temporal.memory_bank_size = 8": model(temporal=TemporalConfig(memory_bank_size=8)),
    "training.optimizer = 'adamw_8bit'": Config(training=TrainingConfig(optimizer="adamw_8bit")),
    "training.loss.ntlbg_constraint = 0.1": loss(ntlbg_constraint=0.1),
    "training.loss.distillation = 0.1": loss(distillation=0.1),
    "training.loss.feature_alignment = 0.1": loss(feature_alignment=0.1),
    "training.loss.temporal_coherence = 0.1": loss(temporal_coherence=0.1),
    "training.loss.information_preservation = 0.1": loss(information_preservation=0.1),
    "training.loss.diversity_regularization = 0.1": loss(diversity_regularization=0.1),
    "data.evaluation.0.format = 'mlvu'": data(format="mlvu"),
    "data.evaluation.0.format = 'video_mme'": data(format="video_mme"),
    "evaluation.scoring = 'letters'": model(base_model="tiny"),
}


@pytest.mark.parametrize("line", CASES)
def test_an_unbuilt_option_is_named(line: str):
    assert unbuilt(CASES[line]) == [line]


@pytest.mark.parametrize("method", get_args(SelectionMethod))
def test_selection_methods_are_built_or_named(method: str):
    expected = [] if method in METHODS else [f"selection.method = {method!r}"]
    assert unbuilt(selection(method=method)) == expected


@pytest.mark.parametrize("reducer", get_args(Reducer))
def test_reducers_are_built_or_named(reducer: str):
    expected = [] if reducer == "qwen2_vl" else [f"model.reducer = {reducer!r}"]
    assert unbuilt(model(reducer=reducer)) == expected


def test_the_defaults_are_built():
    assert unbuilt(Config()) == []
    assert unbuilt(data()) == []


def test_the_tiny_base_is_scored_by_option_words():
    config = model(base_model="tiny")
    words = replace(config, evaluation=EvaluationConfig(scoring="option_words"))
    assert unbuilt(words) == []


def test_it_imports_no_torch():
    code = "import sys, ntlbg_model.built; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
