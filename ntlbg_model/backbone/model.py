"""Qwen2-VL as this project uses it: loaded, tuned, asked for one token."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2VLForConditionalGeneration,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.vision import use_batched_attention, vision_features
from ntlbg_model.config import ModelConfig

TINY = Path(__file__).parent.parent / "tiny_base" / "checkpoint"
"""The base model that 'tiny' names."""

LORA_TARGETS = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj"
"""Every linear layer of the language model's blocks."""


class BackboneError(Exception):
    """A base model that cannot be loaded; one line that says why."""


@dataclass(frozen=True, kw_only=True)
class VideoPrompt:
    """A right-padded batch of prompts with their videos."""

    input_ids: Tensor
    """[B, S]"""
    position_ids: Tensor
    """[3, B, S]"""
    pixels: Tensor
    """uint8 [pairs of all rows, 2, H, W, 3], row after row."""
    answer_at: Tensor
    """[B], index of the last prompt token: its logits are the answer's."""

    def to(self, device: torch.device | str) -> "VideoPrompt":
        """The same batch on `device`."""
        return VideoPrompt(
            **{name: getattr(self, name).to(device) for name in self.__annotations__}
        )


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A Qwen2-VL, perhaps with adapters, and its tokenizer."""

    model: nn.Module
    """`Qwen2VLForConditionalGeneration`, or the peft model around it: what is trained."""
    tokenizer: PreTrainedTokenizerBase

    @property
    def base(self) -> Qwen2VLForConditionalGeneration:
        """The Qwen2-VL itself."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def visual(self) -> nn.Module:
        """The vision tower with its merger."""
        tower: nn.Module = self.base.model.visual
        return tower

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def video_token(self) -> int:
        """Id of the token that stands for one merged vision feature."""
        return int(self.base.config.video_token_id)


def answer_logits(
    backbone: Backbone, prompt: VideoPrompt, wrapped: nn.Module | None = None
) -> Tensor:
    """Logits [B, vocabulary] in float32 of the token after each prompt.

    Padding is on the right, so causal attention needs no mask, and only the answer positions go
    through the vocabulary matrix. `wrapped` is the model inside a data-parallel wrapper, whose
    forward must be the one that runs.
    """
    return logits_over(backbone, prompt, vision_features(backbone.visual, prompt.pixels), wrapped)


def logits_over(
    backbone: Backbone, prompt: VideoPrompt, features: Tensor, wrapped: nn.Module | None = None
) -> Tensor:
    """`answer_logits` where the vision features [pairs of all rows, h w, hidden] are known."""
    positions, column = torch.unique(prompt.answer_at, return_inverse=True)
    output = (wrapped or backbone.model)(
        input_ids=prompt.input_ids,
        position_ids=prompt.position_ids,
        mm_encoder_outputs={
            "video": BaseModelOutputWithPooling(pooler_output=(features.flatten(0, 1),))
        },
        logits_to_keep=positions,
        use_cache=False,
    )
    rows = torch.arange(column.numel(), device=column.device)
    logits: Tensor = output.logits[rows, column].float()
    return logits


def load_backbone(
    config: ModelConfig,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    attention: kernels.Attention,
    seed: int = 0,
) -> Backbone:
    """The base model of `config.base_model` with what `config.tuning` trains made trainable.

    'tiny' is the checkpoint in this package; anything else is a local folder or a hub name. The
    vision tower is always frozen; adapters are float32 and initialised from `seed`. Raises
    BackboneError where there is no such model or it is no Qwen2-VL.
    """
    source = str(TINY) if config.base_model == "tiny" else config.base_model
    kernels.register()
    model, tokenizer = _pretrained(source, config.base_model, dtype, kernels.available(attention))
    use_batched_attention(model.model.visual)
    model.requires_grad_(False)
    if config.tuning == "full":
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    model.to(device)
    if config.tuning == "lora":
        return Backbone(model=_with_adapters(model, config, seed), tokenizer=tokenizer)
    return Backbone(model=model, tokenizer=tokenizer)


def _pretrained(
    source: str, name: str, dtype: torch.dtype, attention: kernels.Attention
) -> tuple[Qwen2VLForConditionalGeneration, PreTrainedTokenizerBase]:
    try:
        kind = AutoConfig.from_pretrained(source).model_type
        if kind != "qwen2_vl":
            raise BackboneError(f"model.base_model {name!r} is a {kind!r}, not a 'qwen2_vl'")
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = Qwen2VLForConditionalGeneration.from_pretrained(
            source, dtype=dtype, attn_implementation=attention
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise BackboneError(f"model.base_model {name!r} cannot be loaded: {reason}") from error
    return model, tokenizer


def _with_adapters(
    model: Qwen2VLForConditionalGeneration, config: ModelConfig, seed: int
) -> PeftModel:
    adapters = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=LORA_TARGETS,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft 0.21 asks for a property that transformers 5.23 has renamed.
        warnings.filterwarnings(
            "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
        )
        torch.manual_seed(seed)
        return get_peft_model(model, adapters)
