"""Number-theoretic time cells: the one-dimensional equal-probability net (k - 1/2) / K.

With inclusion probabilities p_t <= 1 that sum to K and C their running sum, frame t belongs to
cell floor(C_t - p_t / 2). Midpoints of neighbours differ by (p_t + p_{t+1}) / 2 <= 1, so all K
contiguous cells are non-empty and one pick per cell gives K distinct, ascending frames. Frames of
probability zero (masked ones) change nothing: their neighbours' midpoints are as near as before.
"""

import torch
from torch import Tensor

UNIT = 1 << 40
"""Probability one as an integer: the lemma is exact in integers, not in floating point."""


def time_cells(probabilities: Tensor, count: int | Tensor) -> Tensor:
    """Cell number [..., P] of each pair, non-decreasing, every one of 0 .. count - 1 in use.

    `probabilities` [..., P] are at most one and sum to `count` (one number or one a row) up to
    rounding.
    """
    wanted = torch.as_tensor(count, device=probabilities.device).unsqueeze(-1)
    units = integers(probabilities, wanted)
    midpoints = 2 * units.cumsum(-1) - units
    cells = torch.div(midpoints, 2 * UNIT, rounding_mode="floor")
    return torch.minimum(cells, wanted - 1)


def pick(scores: Tensor, cells: Tensor, count: int) -> Tensor:
    """The pair [..., count] with the highest score in each cell, the earliest where scores tie.

    Masked pairs have score -inf. A cell number that no pair has (rows with fewer than `count`
    cells) gives P, one past the last pair.
    """
    pairs = scores.shape[-1]
    shape = (*scores.shape[:-1], count)
    best = scores.new_full(shape, -torch.inf).scatter_reduce(-1, cells, scores, "amax")
    order = torch.arange(pairs, device=scores.device).expand_as(scores)
    won = (scores == best.gather(-1, cells)) & (scores > -torch.inf)
    first = torch.full(shape, pairs, device=scores.device)
    return first.scatter_reduce(-1, cells, torch.where(won, order, pairs), "amin")


def middles(present: Tensor, cells: Tensor, count: int) -> Tensor:
    """The middle [..., count] of each cell's pairs that are `present` [..., P]. Says nothing of a
    cell that has none."""
    size = torch.zeros(*cells.shape[:-1], count, dtype=torch.long, device=cells.device)
    size = size.scatter_add(-1, cells, present.long())
    rank = size.cumsum(-1) - torch.div(size, 2, rounding_mode="floor")
    return torch.searchsorted(present.long().cumsum(-1), rank)


def standing_out(picks: Tensor, stands: Tensor, quiet: Tensor) -> Tensor:
    """`picks` [..., K], one a cell, where the pair `stands` [..., P] out; elsewhere `quiet`
    [..., K]. A pick that is no pair (P) stays.

    What a nearly flat distribution prefers is noise: where no pair stands out, a cell is best
    represented by its middle or a typical pair, and a distribution that is even gives evenly
    spaced ones.
    """
    pairs = stands.shape[-1]
    kept = stands.gather(-1, picks.clamp(max=pairs - 1))
    return torch.where((picks < pairs) & ~kept, quiet, picks)


def integers(probabilities: Tensor, count: Tensor) -> Tensor:
    """Probabilities [..., P] as integers in 0 .. UNIT summing to exactly `count` [..., 1] of it."""
    # To the nearest: sums over longer rows differ in the last bit, and 1/4 must stay 1/4.
    units = (probabilities.double() * UNIT).round().long().clamp(0, UNIT)
    missing = count * UNIT - units.sum(-1, keepdim=True)
    present = units > 0
    room = torch.where(missing >= 0, (UNIT - units) * present, units)
    before = room.cumsum(-1) - room
    share = torch.minimum((missing.abs() - before).clamp(min=0), room)
    return units + share * missing.sign()
