"""Traced answers of published models against real ones on a CPU."""

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.tracer_accuracy import CPU, highest
from ntlbg_model.backbone.model import BackboneError
from ntlbg_model.config import (
    Architecture,
    Config,
    EvaluationConfig,
    ModelConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.footprint import GIB, answering_footprint
from ntlbg_model.published_models.frames import FrameTransform
from ntlbg_model.published_models.load import load_native
from ntlbg_model.tracing.published import sample_of, trace_published
from tests.support.small_native import BILLIONS, save_native

NATIVE = [name for name in get_args(Architecture) if name != "qwen2_vl"]


def config(folder: Path, architecture: Architecture) -> Config:
    return Config(
        video=VideoConfig(max_frames=32, num_representatives=16, frame_resolution=(56, 84)),
        model=ModelConfig(
            base_model=str(folder),
            architecture=architecture,
            billion_parameters=BILLIONS,
            tuning="none",
        ),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
        evaluation=EvaluationConfig(scoring="letters", batch_size=2),
    )


def remembered(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """Frames are transformed once; bytes of each result."""
    real, kept, sizes = FrameTransform.__call__, {}, {}

    def once(self: FrameTransform, frames: torch.Tensor) -> torch.Tensor:
        key = frames.data_ptr()
        if key not in kept:
            kept[key] = real(self, frames)
            sizes[key] = kept[key].nbytes
        return kept[key]

    monkeypatch.setattr(FrameTransform, "__call__", once)
    return sizes


@pytest.mark.parametrize("architecture", NATIVE)
def test_real_answers_take_what_was_traced(
    tmp_path: Path, architecture: Architecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card is given the pixels of a chunk, which on a CPU are there before."""
    asked = config(save_native(architecture, tmp_path), architecture)
    model = load_native(asked.model, dtype=torch.float32, device="cpu", attention="sdpa")
    samples = [sample_of(model, asked)] * CPU.questions
    pixels = remembered(monkeypatch)
    model.logits(samples)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        model.logits(samples)
    weights = (*model.model.parameters(), *model.model.buffers())
    run_status = sum(tensor.nbytes for tensor in weights)
    traced = trace_published(asked, CPU)
    assert traced.parameters * GIB == pytest.approx(run_status, rel=0.01)
    real = run_status + highest(found)
    assert 0.99 * real <= traced.allocated * GIB <= 1.01 * (real + sum(pixels.values()))
    assert traced.allocated < answering_footprint(asked, CPU).allocated


def test_what_is_not_on_this_machine_is_refused_in_one_line(tmp_path: Path) -> None:
    asked = config(tmp_path / "nowhere", "llava_onevision")
    with pytest.raises(BackboneError, match="cannot be loaded") as caught:
        trace_published(asked, CPU)
    assert "\n" not in str(caught.value)
