"""Attention kernels of the language model, by name."""

import logging

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.utils import is_flash_attn_2_available

from ntlbg_model.geometry.step_shape import Attention

logger = logging.getLogger(__name__)

__all__ = ["Attention", "available", "register", "sdpa_repeated"]


def sdpa_repeated(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Fused attention with key and value heads repeated, for cards without flash attention.

    Left to itself, transformers asks for grouped heads (`enable_gqa`); the memory-efficient kernel
    has none, so below sm_80 the math kernel runs with S x S scores.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    key, value = (x.repeat_interleave(groups, dim=1) for x in (key, value))
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    output = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=causal and attention_mask is None and query.shape[2] > 1,
    )
    return output.transpose(1, 2).contiguous(), None


def available(wanted: Attention) -> Attention:
    """`wanted`, or torch's own kernels (flash among them) where the flash-attn package is not
    installed."""
    if wanted == "flash_attention_2" and not is_flash_attn_2_available():
        logger.info("flash-attn is not installed: torch's scaled_dot_product_attention instead")
        return "sdpa"
    return wanted


def register() -> None:
    """Make `sdpa_repeated` known to transformers; harmless when repeated."""
    AttentionInterface.register("sdpa_repeated", sdpa_repeated)
    AttentionMaskInterface.register("sdpa_repeated", sdpa_mask)
