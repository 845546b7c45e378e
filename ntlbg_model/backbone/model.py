"""Qwen2-VL as this project uses it: loaded, tuned, asked for one token."""

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
)

from ntlbg_model.backbone import attention as kernels
from ntlbg_model.backbone.liger import use_liger
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.backbone.vision_cache import VisionCache
from ntlbg_model.config import Architecture, ModelConfig
from ntlbg_model.geometry.published_size import architecture_of
from ntlbg_model.safe_loading import (
    DATA_ALONE,
    UNREADABLE,
    WITHOUT_CODE,
    check_checkpoint,
    refuse_quantised,
)

TINY = Path(__file__).parent.parent / "tiny_base" / "checkpoint"
"""The base model that 'tiny' names."""

LORA_TARGETS = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj"
"""Every linear layer of the language model's blocks."""


CLASSES = {
    "qwen2_vl": Qwen2VLForConditionalGeneration,
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
}
"""The kinds of base model. Qwen3-VL is none of them: its vision tower also feeds the language
model's first layers, and it is told times in words between the frames. It is evaluated as it is
(`native.qwen3_vl`)."""


class BackboneError(Exception):
    """A base model that cannot be loaded; one line that says why."""


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A Qwen2-VL or Qwen2.5-VL, perhaps with adapters, and its tokenizer."""

    model: nn.Module
    """The module to train: `base` itself, the peft model around it, or a module around either that
    adds parts."""
    base: PreTrainedModel
    """The Qwen2-VL or Qwen2.5-VL itself."""
    tokenizer: Any
    vision_cache: VisionCache = field(default_factory=VisionCache)
    """Features of pairs seen before; keeps nothing unless told to."""

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

    @property
    def tokens_per_second(self) -> float | None:
        """Temporal ids a second (Qwen2.5-VL, arXiv:2502.13923); None: a pair is one."""
        rate: float | None = getattr(self.base.config.vision_config, "tokens_per_second", None)
        return rate


def _widen_trained(model: nn.Module) -> None:
    for weight in model.parameters():
        if weight.requires_grad and weight.dtype in (torch.float16, torch.bfloat16):
            weight.data = weight.data.float()


def tuned(
    model: PreTrainedModel,
    config: ModelConfig,
    device: torch.device | str,
    seed: int = 0,
    to_spread: bool = False,
) -> nn.Module:
    """Make a base model ready for its device, with what `config.tuning` trains made trainable: the
    model itself, or the adapters around it."""
    use_batched_attention(model.model.visual)
    if config.liger:
        use_liger(model, device)
    model.requires_grad_(False)
    if config.tuning == "full":
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
        model.model.visual.requires_grad_(config.vision == "trained")
        _widen_trained(model)
    (model.model.visual if to_spread else model).to(device)
    trained: nn.Module = _with_adapters(model, config, seed) if config.tuning == "lora" else model
    return trained


def pretrained(
    source: str, name: str, dtype: torch.dtype, attention: kernels.Attention
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the weights and the tokenizer in `source`, which options call `name`. Raises
    BackboneError where there is no such model or it is none of `CLASSES`."""
    try:
        check_checkpoint(source)
        config = AutoConfig.from_pretrained(source, **WITHOUT_CODE)
        refuse_quantised(getattr(config, "quantization_config", None))
        kind = config.model_type
        if kind not in CLASSES:
            raise BackboneError(f"model.base_model {name!r} is a {kind!r}, {_instead(kind)}")
        tokenizer = AutoTokenizer.from_pretrained(source, **WITHOUT_CODE)
        model = CLASSES[kind].from_pretrained(
            source, dtype=dtype, attn_implementation=attention, **DATA_ALONE
        )
    except UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise BackboneError(f"model.base_model {name!r} cannot be loaded: {reason}") from error
    return model, tokenizer


def _instead(kind: str) -> str:
    known = get_args(Architecture)
    native = architecture_of(kind)
    if native in known:
        return f"not a 'qwen2_vl': model.architecture {native!r} evaluates it as it is"
    return f"which has no adapter; supported types: {', '.join(known)}"


def _with_adapters(model: PreTrainedModel, config: ModelConfig, seed: int) -> PeftModel:
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
