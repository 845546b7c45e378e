"""Inclusion probabilities of a fixed-size sample: mass in proportion to a weight, at most one."""

import torch
from torch import Tensor


def inclusion_probabilities(mass: Tensor, count: int | Tensor) -> Tensor:
    """p [..., P] in float64 with p_t = min(s * mass_t, 1) and s such that the p_t sum to `count`.

    `mass` [..., P] is non-negative (masked pairs: zero), `count` one number or one a row. The
    capped set is found exactly: with the masses in descending order, the first c are capped where
    c is least such that the others, scaled to share count - c, stay within one. Where fewer than
    `count` masses are positive the zero masses share what is left. Differentiable in the masses of
    the uncapped pairs. Raises ValueError unless 0 < count <= P.
    """
    pairs = mass.shape[-1]
    wanted = torch.as_tensor(count, device=mass.device).unsqueeze(-1)
    if not bool(((wanted > 0) & (wanted <= pairs)).all()):
        raise ValueError(f"count must be between 1 and the {pairs} pairs, got {count}")
    weights = mass.double().clamp(min=0)
    with torch.no_grad():
        capped = _capped(weights, wanted)
    share = (wanted - capped.sum(-1, keepdim=True)).clamp(min=0)
    free = weights.masked_fill(capped, 0)
    total = free.sum(-1, keepdim=True)
    rest = (~capped).double()
    spread = share * rest / rest.sum(-1, keepdim=True).clamp(min=1)
    scaled = torch.where(total > 0, share * free / torch.where(total > 0, total, 1), spread)
    return torch.where(capped, torch.ones_like(weights), scaled.clamp(max=1.0))


def _capped(weights: Tensor, wanted: Tensor) -> Tensor:
    """Which pairs are certain: those whose scaled mass would exceed one."""
    positive = weights > 0
    few = positive.sum(-1, keepdim=True) <= wanted
    # Only the `count` largest can be capped; their order needs no full sort.
    most = int(wanted.max())
    ordered = weights.topk(most, dim=-1).values
    before = ordered.cumsum(-1) - ordered
    tails = weights.sum(-1, keepdim=True) - before
    number = torch.arange(most, dtype=torch.float64, device=weights.device)
    # The last of a row's count always fits; its tail, a difference, may have lost all digits.
    fits = (ordered * (wanted - number) <= tails) | (number >= wanted - 1)
    c = fits.double().argmax(-1, keepdim=True)
    # Equal masses never stand on both sides: where w (K - c + 1) > w + tail, w (K - c) > tail.
    threshold = torch.where(c > 0, ordered.gather(-1, (c - 1).clamp(min=0)), torch.inf)
    return torch.where(few, positive, positive & (weights >= threshold))
