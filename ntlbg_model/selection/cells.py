"""Number-theoretic time cells: the one-dimensional equal-probability net (k - 1/2) / K.

With inclusion probabilities p_t <= 1 that sum to K and C their running sum, frame t belongs to
cell floor(C_t - p_t / 2). Midpoints of neighbours differ by (p_t + p_{t+1}) / 2 <= 1, so all K
contiguous cells are non-empty and one pick per cell gives K distinct, ascending frames.
"""

import torch
from torch import Tensor

UNIT = 1 << 40
"""Probability one as an integer: the lemma is exact in integers, not in floating point."""


def time_cells(probabilities: Tensor, count: int) -> Tensor:
    """Cell number [P] of each pair, non-decreasing, every one of 0 .. count - 1 in use.

    `probabilities` [P] are at most one and sum to `count` up to rounding.
    """
    units = _integers(probabilities, count)
    midpoints = 2 * units.cumsum(0) - units
    return torch.div(midpoints, 2 * UNIT, rounding_mode="floor").clamp(max=count - 1)


def pick(scores: Tensor, cells: Tensor, count: int) -> Tensor:
    """The pair [count] with the highest score in each cell, the earliest where scores tie."""
    best = scores.new_full((count,), -torch.inf).scatter_reduce(0, cells, scores, "amax")
    order = torch.arange(scores.numel(), device=scores.device)
    candidates = torch.where(scores == best[cells], order, scores.numel())
    first = torch.full((count,), scores.numel(), device=scores.device)
    return first.scatter_reduce(0, cells, candidates, "amin")


def _integers(probabilities: Tensor, count: int) -> Tensor:
    """Probabilities as integers in 0 .. UNIT that sum to exactly count * UNIT."""
    units = (probabilities.double() * UNIT).floor().long().clamp(0, UNIT)
    missing = count * UNIT - int(units.sum())
    room = UNIT - units if missing >= 0 else units
    before = room.cumsum(0) - room
    share = torch.minimum((abs(missing) - before).clamp(min=0), room)
    return units + share if missing >= 0 else units - share
