"""Inclusion probabilities of a fixed-size sample: mass in proportion to a weight, at most one."""

import torch
from torch import Tensor


def inclusion_probabilities(mass: Tensor, count: int) -> Tensor:
    """p [P] in float64 with p_t = min(s * mass_t, 1) and s such that the p_t sum to `count`.

    `mass` [P] is non-negative. The capped set is found exactly: with the masses in descending
    order, the first c are capped where c is least such that the others, scaled to share
    count - c, stay within one. Where fewer than `count` masses are positive the zero masses
    share what is left. Raises ValueError unless 0 < count <= P.
    """
    pairs = mass.numel()
    if not 0 < count <= pairs:
        raise ValueError(f"count must be between 1 and the {pairs} pairs, got {count}")
    weights = mass.double().clamp(min=0)
    positive = int((weights > 0).sum())
    if positive <= count:
        rest = (count - positive) / max(pairs - positive, 1)
        return torch.where(weights > 0, torch.ones_like(weights), rest)
    ordered = weights.sort(descending=True).values
    tails = ordered.flip(0).cumsum(0).flip(0)
    capped = torch.arange(pairs, dtype=torch.float64, device=mass.device)
    fits = ordered * (count - capped) <= tails
    c = int(fits.nonzero()[0])
    scale = (count - c) / tails[c]
    return (weights * scale).clamp(max=1.0)
