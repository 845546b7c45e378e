"""Answering instead of training: a batch of questions, or one answer in words."""

from dataclasses import replace
from inspect import signature

import torch
from transformers import DynamicCache, Qwen2VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone.positions import generation_positions
from ntlbg_model.config import Config
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.tracing.device import TracedDevice
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.phases import Phases
from ntlbg_model.tracing.step import MicroBatch, half_of, kernel_of, micro_batch, on_meta
from ntlbg_model.tracing.storages import Recorder

CACHE = (
    "cache"
    if "cache" in signature(Qwen2VLForConditionalGeneration.forward).parameters
    else "past_key_values"
)
"""What the models' forward pass calls its key-value cache: renamed in transformers 5.24."""


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
def record_generation(config: Config, step: Step, depth: Depth, new_tokens: int) -> Recorder:
    """Follows an answer of `new_tokens` tokens to one question, as `generate` gives it: the prompt
    fills a key-value cache, which every token lengthens; of those the last is followed."""
    recorder, device, batch = _ready(config, replace(step, micro_batch=1), depth)
    with recorder, device, torch.no_grad():
        features = batch.features().flatten(0, 1)
        cache = _prefilled(batch, features)
        recorder.kind = "other"
        _tell(recorder, cache)
        said = batch.prompt.input_ids.new_empty(1, 1)
        rows = [_decoded(batch, cache, said)]
        _lengthen(cache, new_tokens - 1)
        _tell(recorder, cache)
        rows += [rows[0].new_empty(rows[0].shape) for _ in range(new_tokens - 1)]
        recorder.mark("decode")
        recorder.kind = "other"
        rows.append(_decoded(batch, cache, said))
        _tell(recorder, cache)
        recorder.mark("end")
    return recorder


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


def _prefilled(batch: MicroBatch, features: torch.Tensor) -> DynamicCache:
    prompt, base = batch.prompt, batch.backbone.base
    cache = DynamicCache(config=base.config.text_config)
    base(
        input_ids=prompt.input_ids,
        position_ids=generation_positions(prompt.position_ids),
        mm_encoder_outputs={"video": BaseModelOutputWithPooling(pooler_output=(features,))},
        **{CACHE: cache},
        use_cache=True,
        logits_to_keep=1,
    )
    return cache


def _decoded(batch: MicroBatch, cache: DynamicCache, said: torch.Tensor) -> torch.Tensor:
    """Logits of the next token, kept in float32."""
    positions = said.new_empty(4, 1, 1)
    output = batch.backbone.base(
        input_ids=said,
        position_ids=positions,
        **{CACHE: cache},
        use_cache=True,
        logits_to_keep=1,
    )
    logits: torch.Tensor = output.logits[:, -1].float()
    return logits


def _tell(recorder: Recorder, cache: DynamicCache) -> None:
    for layer in cache.layers:
        recorder.tell(layer.keys, "activations")
        recorder.tell(layer.values, "activations")


def _lengthen(cache: DynamicCache, tokens: int) -> None:
    """As so many more tokens would have left it; a block's old cache goes when its new one is
    there."""
    for layer in cache.layers:
        for name in ("keys", "values"):
            old = getattr(layer, name)
            batch, heads, length, width = old.shape
            setattr(layer, name, old.new_empty(batch, heads, length + tokens, width))
            del old
