"""Frozen matrices stored in 8 or 4 bits, as bitsandbytes computes with them, on meta tensors.

nf4 (arXiv:2305.14314) writes the matrix out in 16 bit for each product, forward and backward.
int8 (arXiv:2208.07339) multiplies in 8 bit, forward, into 32-bit integers, and writes the matrix
out in 16 bit for the backward product.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, kind: str) -> Tensor:
        ctx.weight = weight
        if kind == "int8":
            rows = torch.empty_like(x, dtype=torch.int8)
            shape = (*x.shape[:-1], weight.shape[0])
            products = torch.empty(shape, dtype=torch.int32, device=x.device)
            del rows
            return products.to(x.dtype)
        return functional.linear(x, torch.empty_like(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0] @ torch.empty_like(ctx.weight), None, None


class QuantisedLinear(nn.Linear):
    """A linear layer whose weight stands for its quantised form: it is written out when used."""

    kind: Literal["int8", "nf4"] = "nf4"

    def forward(self, input: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs] in the weight's type."""
        x = input.to(self.weight.dtype)
        product: Tensor = _Product.apply(x, self.weight, self.kind)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias


def quantise(blocks: nn.Module, kind: Literal["int8", "nf4"]) -> None:
    """Makes every linear layer below `blocks` a quantised one."""
    for layer in blocks.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = QuantisedLinear
            layer.kind = kind  # type: ignore[assignment]
