"""Selections that look at no pixels."""

import torch
from torch import Tensor


def uniform(pairs: int, count: int) -> Tensor:
    """The pairs [count] at the midpoints (k + 1/2) P / K of K equal spans."""
    return (2 * torch.arange(count) + 1) * pairs // (2 * count)


def random(pairs: int, count: int, seed: int) -> Tensor:
    """Distinct pairs [count], ascending, equally likely; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(pairs, generator=generator)[:count].sort().values
