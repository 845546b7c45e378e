"""Attention with a bias on the keys, one number a token, in any kernel.

The bias is written as one more dimension of the heads: (q, 1 / scale) . (k, b) scale = q . k scale
+ b. No S x S mask is made, so flash and memory-efficient kernels stay what they are, and the
gradient of b is that of the attention's logits.
"""

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ntlbg_model.backbone.attention import sdpa_repeated

GATED = "ntlbg_gated_"
KEY_GATE = "ntlbg_key_gate"
"""Argument of a language model's forward: bias [B, S] of the keys."""
WIDTH = 8
"""Dimensions that are added: kernels want multiples of eight."""


def use_gated_attention(language_model: nn.Module) -> None:
    """Make a language model understand `KEY_GATE`; without it nothing changes.

    In the place of the flash-attn package, which transformers finds by the very name of the
    attention, torch's own flash kernel runs.
    """
    config: Any = language_model.config
    usual = config._attn_implementation
    if usual.startswith(GATED):
        return
    if usual.startswith("flash_attention"):
        usual = "sdpa"
    name = GATED + usual
    kernel = ALL_ATTENTION_FUNCTIONS.get_interface(usual, sdpa_repeated)

    def gated(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        gate = kwargs.pop(KEY_GATE, None)
        if gate is not None:
            query, key, value = _widened(query, key, value, gate, kwargs["scaling"])
        output, weights = kernel(module, query, key, value, attention_mask, **kwargs)
        return (output if gate is None else output[..., :-WIDTH]), weights

    AttentionInterface.register(name, gated)
    AttentionMaskInterface.register(name, sdpa_mask)
    config._attn_implementation = name


def _widened(
    query: Tensor, key: Tensor, value: Tensor, gate: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Heads [B, H, S, D + WIDTH] whose products hold the bias `gate` [B, S]."""
    ones = torch.full_like(query[..., :1], 1 / scale)
    bias = gate[:, None, :, None].to(key.dtype).expand(-1, key.shape[1], -1, -1)
    query = functional.pad(torch.cat((query, ones), dim=-1), (0, WIDTH - 1))
    key = functional.pad(torch.cat((key, bias), dim=-1), (0, WIDTH - 1))
    return query, key, functional.pad(value, (0, WIDTH))
