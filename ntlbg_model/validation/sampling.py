"""V10, V11: a draw has the probabilities it claims; a choice is well formed whatever the mass."""

import torch
from torch import Tensor

from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import pick, time_cells
from ntlbg_model.selection.draw import systematic
from ntlbg_model.validation.check import Check, generator, normal

STARTS = 2000
CASES = 300


def inclusion_frequencies(seed: int) -> Check:
    """V10: over an even grid of starts every pair is drawn as often as p_t says."""
    p = _probabilities(seed)
    starts = (torch.arange(STARTS, dtype=torch.float64) + 0.5) / STARTS
    drawn = systematic(p.expand(STARTS, -1), 24, starts)
    frequency = drawn.flatten().bincount(minlength=p.numel()) / STARTS
    return Check(
        claim="V10 inclusion probabilities",
        quantity="largest error of a frequency",
        statistic=float((frequency - p).abs().max()),
        high=2 / STARTS,
        meaning=f"24 of 200 pairs, {STARTS} starts: exact up to the grid",
    )


def horvitz_thompson(seed: int) -> Check:
    """V10: weighting by 1 / p makes the sum over drawn pairs unbiased."""
    p, source = _probabilities(seed), generator(seed, 41)
    values = 10 * torch.rand(p.numel(), generator=source, dtype=torch.float64)
    starts = torch.rand(STARTS, generator=source, dtype=torch.float64)
    drawn = systematic(p.expand(STARTS, -1), 24, starts)
    totals = (values / p)[drawn].sum(1)
    error = (totals.mean() - values.sum()) / (totals.std() / STARTS**0.5)
    return Check(
        claim="V10 Horvitz-Thompson",
        quantity="error in standard errors",
        statistic=abs(float(error)),
        high=3.5,
        meaning=f"mean {float(totals.mean()):.1f}, true {float(values.sum()):.1f}, one draw's "
        f"deviation {float(totals.std()):.1f}",
    )


def structure(seed: int) -> Check:
    """V11: K distinct ascending pairs, none masked, and rows do not depend on one another."""
    source = generator(seed, 42)
    broken = sum(_broken(source) for _ in range(CASES))
    return Check(
        claim="V11 structure lemma",
        quantity="broken choices",
        statistic=float(broken),
        high=0,
        meaning=f"{CASES} batches of four rows with masks, ties, zeros and masses over 30 orders",
    )


def _probabilities(seed: int) -> Tensor:
    mass = (2 * normal(generator(seed, 40), 200)).double().exp()
    return inclusion_probabilities(mass, 24)


def _broken(source: torch.Generator) -> int:
    """Rows of one random batch that break a rule."""
    pairs = int(torch.randint(2, 60, (), generator=source))
    counts = torch.randint(1, pairs // 2 + 1, (4,), generator=source)
    mass = _mass(pairs, source)
    mask = torch.rand(4, pairs, generator=source) < 0.8
    mask[:, : int(counts.max())] = True
    mass = torch.where(mask, mass, 0)
    p = inclusion_probabilities(mass, counts)
    cells = time_cells(p, counts)
    scores = torch.where(mask & (p > 0), torch.randn(4, pairs, generator=source), -torch.inf)
    best = pick(scores, cells, int(counts.max()))
    drawn = systematic(p, counts, torch.rand(4, generator=source))
    return sum(
        not (
            _well_formed(best[row], int(counts[row]), p[row])
            and _well_formed(drawn[row], int(counts[row]), p[row])
            and torch.equal(cells[row], _alone(mass[row], int(counts[row])))
        )
        for row in range(4)
    )


def _mass(pairs: int, source: torch.Generator) -> Tensor:
    """Masses [4, pairs]: even, steep, tied, and with zeros."""
    steep = (20 * torch.randn(pairs, generator=source)).exp()
    tied = torch.randint(1, 3, (pairs,), generator=source).float()
    sparse = torch.rand(pairs, generator=source) * (torch.rand(pairs, generator=source) < 0.5)
    sparse[: pairs // 2] += 1e-3
    return torch.stack((torch.ones(pairs), steep, tied, sparse)).double()


def _well_formed(picks: Tensor, count: int, p: Tensor) -> bool:
    kept = picks[:count]
    ascending = bool((kept.diff() > 0).all())
    inside = bool((kept < p.numel()).all()) and bool((picks[count:] == p.numel()).all())
    return ascending and inside and bool((p[kept] > 0).all())


def _alone(mass: Tensor, count: int) -> Tensor:
    return time_cells(inclusion_probabilities(mass, count), count)
