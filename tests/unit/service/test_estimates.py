"""Traces are made once for each thing that memory depends on, and kept."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ntlbg_model
from ntlbg_model.config import Config, ModelConfig, TrainingConfig
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.estimates.source_files import files_behind
from ntlbg_service.estimates.trace_cache import TRACER, memory_key, open_estimates, trace_version

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
    nowhere = ModelConfig(
        base_model=str(tmp_path / "nowhere"),
        architecture="llava_onevision",
        billion_parameters=8.0,
        tuning="none",
    )
    absent = Config(model=nowhere, training=TrainingConfig(max_steps=0, warmup_steps=0))
    assert open_estimates(tmp_path).trace(absent, STEP, 0.6) is None
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


def test_an_evaluation_is_traced_for_the_questions_it_answers_at_once(tmp_path: Path) -> None:
    tracer = Counting()
    nothing = TrainingConfig(max_steps=0, warmup_steps=0)
    config = Config(model=ModelConfig(tuning="none"), training=nothing)
    estimates = open_estimates(tmp_path, tracer=tracer)
    for number in (1, 8, 8):
        assert estimates.trace(config, replace(STEP, questions=number), 0.6) is not None
    assert tracer.calls == 2


def test_a_gang_over_several_nodes_has_the_memory_of_one_node() -> None:
    wide = replace(STEP, workers=16)
    assert memory_key(Config(), replace(wide, nodes=2)) == memory_key(Config(), wide)


LOADED = """
import sys
from ntlbg_model.config import Config, ModelConfig, RichPointsConfig, TemporalConfig, VideoConfig
from ntlbg_model.footprint import Step
from ntlbg_model.tracing.trace import trace_step

for model in (
    ModelConfig(base_model="tiny", reducer="videollama"),
    ModelConfig(base_model="tiny", rich_points=RichPointsConfig(enabled=True)),
    ModelConfig(base_model="tiny", temporal=TemporalConfig(layers=1), quantisation="nf4"),
):
    config = Config(video=VideoConfig(max_frames=64, frame_resolution=(56, 56)), model=model)
    trace_step(config, Step(precision="bf16", attention="sdpa"))
files = [getattr(module, "__file__", None) for module in sys.modules.values()]
print(*(name for name in files if name and "ntlbg_model" in name), sep="\\n")
"""


def test_all_that_a_trace_loads_is_in_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED], capture_output=True, text=True, check=True
    )
    root = Path(ntlbg_model.__file__).parent
    behind = {str(path) for path in files_behind(root, TRACER)}
    loaded = set(done.stdout.split())
    assert str(root / "tracing" / "step.py") in loaded <= behind
    assert str(root / "training" / "trainer.py") not in behind
    assert str(root / "selection" / "dpp.py") not in behind


def test_a_trace_is_made_again_for_changed_code_beneath_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "ntlbg_model"
    shutil.copytree(Path(ntlbg_model.__file__).parent, root, ignore=shutil.ignore_patterns("*pyc"))
    monkeypatch.setattr(ntlbg_model, "__file__", str(root / "__init__.py"))
    version = trace_version.__wrapped__
    before = version()
    with (root / "evaluation.py").open("a") as file:
        file.write("# other words\n")
    assert version() == before
    with (root / "backbone" / "vision.py").open("a") as file:
        file.write("# other words\n")
    assert version() != before


def test_other_releases_beneath_a_trace_are_another_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = trace_version.__wrapped__()
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0.0")
    assert trace_version.__wrapped__() != before
