"""What is declared and not built is refused by name, never ignored."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args

import pytest

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
from ntlbg_model.geometry.visual_tokens import COUNTS
from ntlbg_model.learning.loss_schedule import AUXILIARY
from ntlbg_model.support import unsupported


def selection(**options: object) -> Config:
    return Config(selection=SelectionConfig(**options))


def model(**options: object) -> Config:
    return Config(model=ModelConfig(**options))


def learned(**options: object) -> Config:
    terms = dict.fromkeys(AUXILIARY, 0.1)
    return Config(
        selection=SelectionConfig(query="learned", **options),
        training=TrainingConfig(loss=LossConfig(distillation=1.0, **terms)),
    )


def data(**options: str) -> Config:
    return Config(data=DataConfig(evaluation=(DatasetConfig(name="d", path="d", **options),)))


CASES = {
    "model.quantisation = 'nf4'": model(quantisation="nf4"),
    "model.quantisation = 'int8'": model(quantisation="int8"),
    "training.optimizer = 'adamw_8bit'": Config(training=TrainingConfig(optimizer="adamw_8bit")),
    "data.evaluation.0.format = 'mlvu'": data(format="mlvu"),
    "data.evaluation.0.format = 'video_mme'": data(format="video_mme"),
    "evaluation.scoring = 'letters'": model(base_model="tiny"),
}


@pytest.mark.parametrize("line", CASES)
def test_an_unbuilt_option_is_named(line: str):
    assert unsupported(CASES[line]) == [line]


@pytest.mark.parametrize("method", get_args(SelectionMethod))
def test_selection_methods_are_built(method: str):
    assert unsupported(selection(method=method)) == []


@pytest.mark.parametrize("seen", ["pixels", "backbone", "clip", "siglip"])
def test_what_is_looked_at_is_built(seen: str):
    assert unsupported(selection(features=seen)) == []


@pytest.mark.parametrize("reducer", get_args(Reducer))
def test_every_reducer_is_built(reducer: str):
    assert reducer in COUNTS
    assert unsupported(model(reducer=reducer)) == []


def test_rich_points_and_temporal_layers_are_built():
    layers = TemporalConfig(layers=6, hierarchical=True, memory_bank_size=64)
    assert unsupported(model(rich_points=RichPointsConfig(enabled=True), temporal=layers)) == []


@pytest.mark.parametrize("strategy", ["none", "statistical_distribution", "structural_similarity"])
def test_a_learned_selection_and_every_loss_term_are_built(strategy: str):
    for level in ("median", "quantile", "rate", "zero", "learned"):
        config = learned(constraint_type="soft_equicontour", contour=level)
        assert unsupported(replace(config, model=ModelConfig(feature_alignment=strategy))) == []


@pytest.mark.parametrize("term", ["distillation", *AUXILIARY])
def test_a_term_that_nothing_trained_depends_on_is_refused(term: str):
    with pytest.raises(
        ValueError, match=rf"training\.loss\.{term} needs selection\.query 'learned'"
    ):
        replace(
            learned(),
            selection=SelectionConfig(),
            training=TrainingConfig(loss=LossConfig(**{term: 0.1})),
        )


def test_an_untrained_selector_is_not_evaluated():
    with pytest.raises(ValueError, match=r"training\.max_steps must be above 0 when selection"):
        replace(learned(), training=TrainingConfig(max_steps=0, warmup_steps=0))


def test_an_alignment_without_weight_is_refused():
    with pytest.raises(ValueError, match=r"needs training\.loss\.feature_alignment above 0"):
        model(feature_alignment="structural_similarity")


def test_only_ntlbg_is_learned():
    with pytest.raises(ValueError, match="query 'learned' needs method 'ntlbg'"):
        SelectionConfig(method="uniform", query="learned")


def test_the_defaults_are_built():
    assert unsupported(Config()) == []
    assert unsupported(data()) == []


def test_the_tiny_base_is_scored_by_option_words():
    config = model(base_model="tiny")
    words = replace(config, evaluation=EvaluationConfig(scoring="option_words"))
    assert unsupported(words) == []


def test_it_imports_no_torch():
    code = "import sys, ntlbg_model.support; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
