"""Answering instead of training: a batch of questions, or one answer in words."""

from dataclasses import replace

import torch
from transformers import DynamicCache

from ntlbg_model.config import Config
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.tracing.device import TracedDevice
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.phases import Phases
from ntlbg_model.tracing.step import MicroBatch, half_of, kernel_of, micro_batch, on_meta
from ntlbg_model.tracing.storages import Recorder


@on_meta()
def record_answers(config: Config, step: Step, depth: Depth) -> Recorder:
    """Follows `step.questions` questions that are answered at once by their next token, as a run's
    evaluation does: after training in training's autocast, else without."""
    asked = replace(step, micro_batch=step.questions)
    recorder, device, batch = _ready(config, asked, depth)
    trained = config.training.max_steps > 0
    with recorder, device, torch.no_grad():
        if trained and half_of(step) is not None:
            with device.autocast():
                batch.answers()
        else:
            batch.answers()
        recorder.mark("end")
    return recorder


@on_meta()
def _ready(config: Config, step: Step, depth: Depth) -> tuple[Recorder, TracedDevice, MicroBatch]:
    recorder = Recorder()
    device = TracedDevice(kernel_of(step), half_of(step), widens=not step.cpu)
    batch = micro_batch(config, step, depth, "meta")
    batch.backbone.model.eval()
    recorder.watch(batch.backbone.model.parameters(), "parameters")
    recorder.watch(batch.backbone.model.buffers(), "parameters")
    recorder.given((batch.prompt.pixels, batch.prompt.input_ids))
    Phases(batch.backbone, recorder).begin()
    return recorder, device, batch


def _tell(recorder: Recorder, cache: DynamicCache) -> None:
    for layer in cache.layers:
        recorder.tell(layer.keys, "activations")
        recorder.tell(layer.values, "activations")
