"""Traces are made once for each thing that memory depends on, and kept."""

from dataclasses import replace
from pathlib import Path

from ntlbg_model.config import Config, ModelConfig, TrainingConfig
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.estimates import memory_key, open_estimates

STEP = Step(precision="bf16", attention="sdpa")


class Counting:
    """A tracer that says how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, config: Config, step: Step, context: float) -> Footprint:
        self.calls += 1
        return replace(training_footprint(config, step, context), traced=True)


def test_a_trace_is_kept_and_read_again(tmp_path: Path) -> None:
    tracer = Counting()
    first = open_estimates(tmp_path, tracer=tracer).trace(Config(), STEP, 0.6)
    again = open_estimates(tmp_path, tracer=tracer).trace(Config(), STEP, 0.6)
    assert first == again and first is not None and first.traced
    assert tracer.calls == 1
    (kept,) = (tmp_path / "traces").iterdir()
    kept.write_text("{ half a fi")
    assert open_estimates(tmp_path, tracer=tracer).trace(Config(), STEP, 0.6) == first
    assert tracer.calls == 2


def test_only_what_takes_memory_makes_another_trace() -> None:
    key = memory_key(Config(), STEP)
    rate = Config(training=TrainingConfig(learning_rate=1e-3, max_steps=7, warmup_steps=0))
    assert memory_key(rate, STEP) == key
    assert memory_key(Config(), replace(STEP, micro_batch=2)) != key
    assert memory_key(Config(model=ModelConfig(lora_rank=8)), STEP) != key
    eight = Config(training=TrainingConfig(optimizer="adamw_8bit"))
    assert memory_key(eight, STEP) != key


def test_what_cannot_be_traced_is_left_to_the_closed_form(tmp_path: Path) -> None:
    def fails(config: Config, step: Step, context: float) -> Footprint:
        raise NotImplementedError("no meta kernel")

    assert open_estimates(tmp_path, tracer=fails).trace(Config(), STEP, 0.6) is None
    tracer = Counting()
    closed = open_estimates(tmp_path, trace=False, tracer=tracer)
    assert closed.trace(Config(), STEP, 0.6) is None
    assert (
        open_estimates(tmp_path, tracer=tracer).trace(Config(), replace(STEP, cpu=True), 0.6)
        is None
    )
    assert tracer.calls == 0


def test_what_is_only_evaluated_has_a_key_of_its_own() -> None:
    nothing = TrainingConfig(max_steps=0, warmup_steps=0)
    untuned = Config(model=ModelConfig(tuning="none"), training=nothing)
    keys = {memory_key(each, STEP) for each in (untuned, Config(training=nothing), Config())}
    assert len(keys) == 3


def test_an_evaluation_is_not_traced(tmp_path: Path) -> None:
    tracer = Counting()
    nothing = TrainingConfig(max_steps=0, warmup_steps=0)
    for model in (ModelConfig(tuning="none"), ModelConfig()):
        config = Config(model=model, training=nothing)
        assert open_estimates(tmp_path, tracer=tracer).trace(config, STEP, 0.6) is None
    assert tracer.calls == 0
