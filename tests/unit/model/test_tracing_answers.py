"""Traced answers against real ones on a CPU, and what they take beside training."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.tracer_accuracy import CPU, config, measured_answers, predicted_answers
from ntlbg_model.config import Config, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import Step, answering_footprint, run_footprint, training_footprint
from ntlbg_model.tracing import trace
from ntlbg_model.tracing.trace import trace_answers, trace_generation, trace_run, trace_step

HALF = Step(precision="bf16", attention="sdpa")


def seven_billion(kept: int, tuning: str = "lora", **model: Any) -> Config:
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept),
        model=ModelConfig(tuning=tuning, **model),  # type: ignore[arg-type]
        training=TrainingConfig(max_steps=0 if tuning == "none" else 10, warmup_steps=0),
    )


@pytest.mark.parametrize(
    ("case", "step", "tokens"),
    [
        (config(64, tuning="none"), replace(CPU, questions=4), 0),
        (config(64), replace(CPU, questions=4, precision="bf16"), 0),
        (config(64, tuning="full"), replace(CPU, questions=2, precision="bf16"), 0),
        (config(64, tuning="none"), CPU, 32),
    ],
)
def test_real_answers_take_what_was_traced(case: Config, step: Step, tokens: int) -> None:
    run_status, real = measured_answers(case, step, tokens)
    assert predicted_answers(case, step, tokens, run_status) == pytest.approx(real, rel=0.01)


def test_two_blocks_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, step = seven_billion(64), replace(HALF, questions=2)
    shallow = trace_answers(asked, step)
    monkeypatch.setattr(trace, "SHALLOW", 40)
    assert shallow.allocated == pytest.approx(trace_answers(asked, step).allocated, rel=1e-6)


def test_a_cache_grows_with_the_answer_and_the_video() -> None:
    """28 blocks, 4 heads of 128 for keys and values, 16 bit: 56 KiB a token."""
    asked = seven_billion(256, tuning="none")
    for tokens in (20_000, 40_000):
        kibibytes = trace_generation(asked, HALF, tokens).activations * 1024**2
        assert kibibytes == pytest.approx(56 * (8320 + tokens), rel=0.05)


@pytest.mark.parametrize("tuning", ["none", "lora", "full"])
@pytest.mark.parametrize(
    ("kept", "questions"), [(96, 3), pytest.param(640, 8, marks=pytest.mark.long)]
)
def test_the_closed_form_of_answers_is_the_trace(tuning: str, kept: int, questions: int) -> None:
    asked, step = seven_billion(kept, tuning), replace(HALF, questions=questions)
    closed, traced = answering_footprint(asked, step), trace_answers(asked, step)
    assert closed.allocated == pytest.approx(traced.allocated, rel=0.03)
    assert closed.reserve == pytest.approx(traced.reserve, rel=0.1)


def test_many_questions_of_long_videos_take_more_than_training() -> None:
    asked = seven_billion(1024)
    crowd = replace(HALF, questions=8)
    assert run_footprint(asked, HALF) == training_footprint(asked, HALF)
    assert run_footprint(asked, crowd) == answering_footprint(asked, crowd)
    assert run_footprint(asked, crowd).total > 1.5 * training_footprint(asked, HALF).total


@pytest.mark.parametrize("questions", [1, pytest.param(8, marks=pytest.mark.long)])
def test_a_run_is_traced_where_it_takes_the_most(questions: int) -> None:
    asked, step = seven_billion(64), replace(HALF, questions=questions)
    either = (trace_step(asked, step), trace_answers(asked, step))
    assert trace_run(asked, step).total == max(found.total for found in either)


def test_an_evaluation_alone_has_no_optimizer_and_no_gradients() -> None:
    found = run_footprint(seven_billion(64, tuning="none"), HALF)
    assert found.gradients == found.optimizer == found.communication == 0
    assert found.parameters == pytest.approx(15.4, rel=0.01)


def test_full_tuning_that_trains_nothing_answers_in_fp32() -> None:
    """Its weights are widened when they are loaded, and no autocast narrows them."""
    still = TrainingConfig(max_steps=0, warmup_steps=0)
    idle = replace(seven_billion(64, "full"), training=still)
    closed, traced = run_footprint(idle, HALF), trace_run(idle, HALF)
    assert closed.parameters == traced.parameters > 1.9 * 14.2
    assert closed.allocated == pytest.approx(traced.allocated, rel=0.03)
