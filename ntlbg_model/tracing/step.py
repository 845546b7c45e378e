"""One micro-batch of training, as training runs it, on meta tensors or on real ones."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.fx.experimental import _config
from transformers import masking_utils
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.video_prompt import VideoPrompt, next_token_logits
from ntlbg_model.backbone.vision import tower_features, vision_features
from ntlbg_model.config import PAIR, Config
from ntlbg_model.footprint.load import load_of
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.modeling.model import NTLBGModel
from ntlbg_model.tracing.attention import Kernel
from ntlbg_model.tracing.device import TracedDevice
from ntlbg_model.tracing.meta_model import DTYPES, Depth, random_backbone
from ntlbg_model.tracing.phases import Phases
from ntlbg_model.tracing.points import random_points
from ntlbg_model.tracing.storages import Recorder

Autocast = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Ways of running a step that a trace can follow; the defaults are what training does."""

    all_logits: bool = False
    """Logits and loss of every token, as Hugging Face does with `labels`."""
    vision_in_graph: bool = False
    """A frozen tower inside the graph, all pairs at once."""
    autocast: bool = True
    """Off: 16-bit weights compute as they are, with fp32 adapters beside them."""
    workspaces: bool = True
    """Count what attention kernels allocate inside themselves."""


TRAINING = Recipe()


@dataclass(frozen=True)
class MicroBatch:
    """All that one forward and backward pass needs."""

    backbone: Backbone
    prompt: VideoPrompt
    targets: Tensor
    """[B]"""
    step: Step
    recipe: Recipe = field(default=TRAINING)

    def loss(self, autocast: Autocast) -> Tensor:
        """The forward pass."""
        with autocast():
            if isinstance(self.backbone.model, NTLBGModel):
                return functional.cross_entropy(self.backbone.model(self.prompt), self.targets)
            features = self.features().flatten(0, 1)
            if self.recipe.all_logits:
                return _loss_of_all(self.backbone.model, self.prompt, features)
            logits = next_token_logits(self.backbone.model, self.prompt, features)
        return functional.cross_entropy(logits, self.targets)

    def answers(self) -> Tensor:
        """Logits of each question's next token."""
        if isinstance(self.backbone.model, NTLBGModel):
            logits: Tensor = self.backbone.model(self.prompt)
            return logits
        return next_token_logits(self.backbone.model, self.prompt, self.features().flatten(0, 1))

    def features(self) -> Tensor:
        """What the vision tower makes of the frames."""
        visual, pixels = self.backbone.visual, self.prompt.pixels
        if self.recipe.vision_in_graph:
            return tower_features(visual, pixels)
        return vision_features(visual, pixels, self.step.vision_chunk)


def micro_batch(
    config: Config, step: Step, depth: Depth, device: str, recipe: Recipe = TRAINING
) -> MicroBatch:
    """A micro-batch of the longest videos, and the model that it goes through."""
    backbone = random_backbone(config.model, step, depth, device)
    backbone.model.train()
    return MicroBatch(
        backbone,
        prompt_of(config, step, backbone, device),
        torch.zeros(step.micro_batch, dtype=torch.long, device=device),
        step,
        recipe,
    )


def prompt_of(config: Config, step: Step, backbone: Backbone, device: str) -> VideoPrompt:
    """Prompts of the longest videos, whose answers are at different places, as they may be."""
    load, batch = load_of(config), step.micro_batch
    height, width = config.video.frame_resolution
    pairs = load.frames // PAIR
    ids = torch.zeros(batch, load.tokens, dtype=torch.long)
    ids[:, : load.visual_tokens] = backbone.video_token
    shape = (batch * pairs, PAIR, height, width, 3)
    return VideoPrompt(
        input_ids=ids.to(device),
        position_ids=torch.zeros(3, batch, load.tokens, dtype=torch.long, device=device),
        pixels=torch.zeros(shape, dtype=torch.uint8, device=device),
        answer_at=torch.arange(load.tokens - batch, load.tokens),
        videos=tuple(random_points(config, pairs, device) for _ in range(batch)),
    )


def half_of(step: Step, recipe: Recipe = TRAINING) -> torch.dtype | None:
    """What autocast computes in; None where there is none."""
    half = recipe.autocast and not step.deepspeed and step.precision != "fp32"
    return DTYPES[step.precision] if half else None


def kernel_of(step: Step) -> Kernel:
    """The kernel that torch takes on the cards a fit chooses an attention for."""
    if step.cpu:
        return "cpu"
    if step.attention in ("flash_attention_2", "sdpa"):
        return "flash"
    return "efficient"


def record_step(config: Config, step: Step, depth: Depth, recipe: Recipe = TRAINING) -> Recorder:
    """Follows one micro-batch on meta tensors.

    Where `step` accumulates, it is a later one of its step, with the gradients of earlier ones
    there. Those and the weights are watched as what stands through the step.
    """
    recorder = Recorder()
    device = TracedDevice(
        kernel_of(step), half_of(step, recipe), widens=not step.cpu, workspaces=recipe.workspaces
    )
    with on_meta():
        batch = micro_batch(config, step, depth, "meta", recipe)
        model = batch.backbone.model
        if step.checkpointing:
            batch.backbone.base.activation_checkpointing_enable(
                {"use_reentrant": False, "context_fn": lambda: (nullcontext(), device.again())}
            )
        if step.accumulation > 1:
            for weight in model.parameters():
                weight.grad = torch.empty_like(weight) if weight.requires_grad else None
        recorder.watch(model.parameters(), "parameters")
        recorder.watch(model.buffers(), "parameters")
        recorder.watch((w.grad for w in model.parameters() if w.grad is not None), "kept")
        recorder.given((batch.prompt.pixels, batch.prompt.input_ids))
        phases = Phases(batch.backbone, recorder)
        with recorder, device:
            phases.begin()
            loss = batch.loss(device.autocast)
            phases.backward()
            loss.backward()  # type: ignore[no-untyped-call]
            recorder.mark("end")
    return recorder


def _loss_of_all(model: nn.Module, prompt: VideoPrompt, tokens: Tensor) -> Tensor:
    output = model(
        input_ids=prompt.input_ids,
        position_ids=prompt.position_ids,
        mm_encoder_outputs={"video": BaseModelOutputWithPooling(pooler_output=(tokens,))},
        labels=prompt.input_ids,
        use_cache=False,
    )
    loss: Tensor = output.loss
    return loss


@contextmanager
def on_meta() -> Iterator[None]:
    """Lets models run without data: no check that placeholders are as many as features, and of
    what a mask leaves, all is taken, and no sequence is packed."""
    name = "TRANSFORMERS_DISABLE_TORCH_CHECK"
    before, packed = os.environ.get(name), masking_utils.find_packed_sequence_indices
    os.environ[name] = "1"
    try:
        with _config.patch(meta_nonzero_assume_all_nonzero=True):  # type: ignore[attr-defined]
            masking_utils.find_packed_sequence_indices = lambda position_ids: None
            yield
    finally:
        masking_utils.find_packed_sequence_indices = packed
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
