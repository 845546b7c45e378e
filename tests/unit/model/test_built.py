"""What is declared and not built is refused by name, never ignored."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest

from ntlbg_model.built import unbuilt
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
from ntlbg_model.visual_tokens import COUNTS


def selection(**options: object) -> Config:
    return Config(selection=SelectionConfig(**options))


def model(**options: object) -> Config:
    return Config(model=ModelConfig(**options))


def loss(**options: float) -> Config:
    return Config(training=TrainingConfig(loss=LossConfig(**options)))


def data(**options: str) -> Config:
    return Config(data=DataConfig(evaluation=(DatasetConfig(name="d", path="d", **options),)))


CASES = {
    "selection.query = 'learned'": selection(query="learned"),
    "model.quantisation = 'nf4'": model(quantisation="nf4"),
    "model.quantisation = 'int8'": model(quantisation="int8"),
    "model.feature_alignment = 'structural_similarity'": model(
        feature_alignment="structural_similarity"
    ),
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
def test_selection_methods_are_built(method: str):
    assert unbuilt(selection(method=method)) == []


@pytest.mark.parametrize("seen", ["pixels", "backbone", "clip", "siglip"])
def test_what_is_looked_at_is_built(seen: str):
    assert unbuilt(selection(features=seen)) == []


@pytest.mark.parametrize("reducer", get_args(Reducer))
def test_every_reducer_is_built(reducer: str):
    assert reducer in COUNTS
    assert unbuilt(model(reducer=reducer)) == []


def test_rich_points_and_temporal_layers_are_built():
    layers = TemporalConfig(layers=6, hierarchical=True, memory_bank_size=64)
    assert unbuilt(model(rich_points=RichPointsConfig(enabled=True), temporal=layers)) == []


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
