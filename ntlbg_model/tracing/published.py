"""Answers of a published video model on meta tensors: the memory of an evaluation as it is."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ntlbg_model.config import PAIR, Config
from ntlbg_model.footprint.closed_form import CONTEXT_GIB
from ntlbg_model.footprint.items import GIB, Footprint
from ntlbg_model.footprint.load import load_of
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.published_models.load import weightless_native
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question
from ntlbg_model.tracing.device import TracedDevice
from ntlbg_model.tracing.meta_model import DTYPES
from ntlbg_model.tracing.peaks import peaks_of
from ntlbg_model.tracing.step import kernel_of, on_meta
from ntlbg_model.tracing.storages import Recorder

QUESTION = Question(
    question_id="trace",
    video_id="trace",
    video_path=Path("trace.mp4"),
    question="What is shown in the video? " * 8,
    candidates=("one", "two", "three", "four"),
    answer=0,
    category="",
)


def trace_published(config: Config, step: Step, context: float = CONTEXT_GIB) -> Footprint:
    """Peak memory of answering `step.questions` questions at once with the published model
    `config.model` names. Its config and tokenizer must be on this machine; its weights need not.

    Raises BackboneError where they are not there.
    """
    recorder = record_published(config, step)
    items = max(peaks_of(recorder).phases.values(), key=lambda found: sum(found.values()))
    weights = sum(block.size for block in recorder.blocks if block.kind == "parameters")
    found = Footprint(
        parameters=weights / GIB,
        gradients=0.0,
        optimizer=0.0,
        activations=items["activations"] / GIB,
        temporaries=items["temporaries"] / GIB,
        vision=items["vision"] / GIB,
        traced=True,
    )
    return found if step.cpu else found.on_gpu(context)


@on_meta()
def record_published(config: Config, step: Step) -> Recorder:
    """Follows one batch of answers over the longest videos the config admits."""
    model = weightless_native(config.model, dtype=DTYPES[step.precision], attention=step.attention)
    samples = [sample_of(model, config)] * step.questions
    recorder = Recorder()
    recorder.watch(model.model.parameters(), "parameters")
    recorder.watch(model.model.buffers(), "parameters")
    with (
        recorder,
        Sizes(sum(sample.video_tokens for sample in samples)),
        TracedDevice(kernel_of(step)),
    ):
        recorder.mark("answers")
        model.logits(samples)
        recorder.mark("end")
    return recorder


class Sizes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets towers read sizes that lie on the CPU beside weights that have no data: what meets a
    meta tensor becomes one, a mask that is asked about hides nothing, and one that picks picks the
    `video_tokens` of all questions."""

    def __init__(self, video_tokens: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._picked = video_tokens

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, on the meta device where part of it is there."""
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func is torch.ops.aten._local_scalar_dense.default and inputs[0].is_meta:
            return True
        if any(leaf.is_meta for leaf in inputs):
            args, kwargs = tree_map(_meta, (args, kwargs))
        if func is torch.ops.aten.index.Tensor and _masks(args[0], args[1]):
            return args[0].new_empty(self._picked, *args[0].shape[args[1][0].ndim :])
        if func is torch.ops.aten.index_put_.default and _masks(args[0], args[1]):
            return args[0]
        return func(*args, **(kwargs or {}))


def _masks(values: Tensor, indices: Any) -> bool:
    mask = indices[0]
    return values.is_meta and isinstance(mask, Tensor) and mask.dtype == torch.bool


def _meta(value: Any) -> Any:
    return torch.empty_like(value, device="meta") if _has_data(value) else value


def _has_data(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_meta


def sample_of(model: NativeModel, config: Config) -> NativeSample:
    """A question over as many frames as the config keeps, noise, so that none repeats another."""
    height, width = config.video.frame_resolution
    frames = load_of(config).frames // PAIR * PAIR
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (frames, height, width, 3), generator=noise, dtype=torch.uint8)
    times = torch.arange(frames, dtype=torch.float64)
    return model.ask(QUESTION, pixels, times, config.evaluation.scoring)
