"""What attention kernels take and keep, as the cards really run them.

Each stands for `scaled_dot_product_attention` on meta tensors. What a kernel allocates inside
itself is in no trace of its interface, so the two fused ones are written out here:

- flash: FlashAttention-2 (arXiv:2307.08691) keeps q, k, v, the output and a log-sum-exp; its
  backward pass accumulates dq in fp32 and expands grouped dk and dv to all heads.
- efficient: CUTLASS' memory-efficient kernel (arXiv:2112.05682), the one below compute capability
  8.0: the same, with accumulators in fp32 for half-precision gradients. It has no grouped heads.
- math: the scores themselves, in fp32 where the inputs are half.
"""

from typing import Any, Literal

import torch
from torch import Tensor

Kernel = Literal["flash", "efficient", "math", "cpu"]


class _Fused(torch.autograd.Function):
    """Shapes of a fused kernel, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, workspaces: tuple[str, ...]
    ) -> Tensor:
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        # Kernels write [B, S, H, D], so that the heads join without a copy.
        output = torch.empty_like(output.transpose(1, 2).contiguous()).transpose(1, 2)
        ctx.workspaces = workspaces
        ctx.save_for_backward(query, key, value, output, _row_sums(query))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        query, key, value, _, sums = ctx.saved_tensors
        held: list[Tensor] = [grads[0].contiguous(), torch.empty_like(sums)]
        if "fp32_query" in ctx.workspaces:
            held.append(torch.empty_like(query, dtype=torch.float32))
        if "fp32_key_value" in ctx.workspaces:
            held += [torch.empty_like(x, dtype=torch.float32) for x in (key, value)]
        if "expanded" in ctx.workspaces and key.shape[1] != query.shape[1]:
            wide = (*query.shape[:2], key.shape[2], key.shape[3])
            held += [key.new_empty(wide), value.new_empty(wide)]
        found = (torch.empty_like(query), torch.empty_like(key), torch.empty_like(value))
        del held
        return (*found, None)


def _row_sums(query: Tensor) -> Tensor:
    return query.new_empty(query.shape[:-1], dtype=torch.float32)


WORKSPACES: dict[Kernel, tuple[str, ...]] = {
    "flash": ("fp32_query", "expanded"),
    "efficient": ("fp32_query", "fp32_key_value"),
}
"""What a kernel's backward pass allocates inside itself; for the efficient one an upper bound."""


def attend(
    kernel: Kernel,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    workspaces: bool = True,
) -> Tensor:
    """`scaled_dot_product_attention` by one kernel. A fused kernel that a card cannot run on these
    inputs gives way to the math kernel, silently, as torch does."""
    if kernel == "cpu" and query.ndim == 4:
        output: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
        )[0]
        return output
    if _runs(kernel, query, attn_mask, enable_gqa):
        inside = WORKSPACES[kernel] if workspaces else ()
        fused: Tensor = _Fused.apply(query, key, value, inside)  # type: ignore[no-untyped-call]
        return fused
    plain: Tensor = torch.ops.aten._scaled_dot_product_attention_math(
        query,
        key,
        value,
        attn_mask,
        dropout_p,
        is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )[0]
    return plain


def _runs(kernel: Kernel, query: Tensor, mask: Tensor | None, grouped: bool) -> bool:
    if query.ndim != 4:
        return False
    if kernel == "flash":
        return query.dtype != torch.float32 and mask is None and query.shape[-1] <= 256
    return kernel == "efficient" and not grouped
