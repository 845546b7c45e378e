"""Representative points of a weighted cloud: Linde-Buzo-Gray from a number-theoretic start.

Y. Linde, A. Buzo and R. Gray, "An Algorithm for Vector Quantizer Design", IEEE Transactions on
Communications 28(1), 1980; B. Flury, "Principal Points", Biometrika 77(1), 1990; the start by
K. T. Fang and Y. Wang, 1994 (`net`). The start makes the result deterministic; the sweeps end at
a local optimum, not better on average than those of other starts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ntlbg_model.selection.net import number_theoretic_net, through_quantiles

LEADING = 6
"""Leading whitened coordinates in which pairs are compared; time is one more."""
TIME_WEIGHT = 1.0
"""Weight of time, in standard deviations, beside one standard deviation of a coordinate."""
_ENTRIES = 1 << 21
"""Distances held at a time: memory does not grow with P x K."""


@dataclass(frozen=True, kw_only=True)
class Quantiser:
    """Points, and what they stand for."""

    points: Tensor
    """[K, s]."""
    cells: Tensor
    """[P], the nearest point of each sample."""
    errors: Tensor
    """[P], squared distance to it."""
    distortions: tuple[float, ...]
    """Weighted mean squared distance at the start and after each sweep; never rises."""


def lloyd(
    samples: Tensor,
    start: Tensor,
    weights: Tensor,
    sweeps: int,
    tolerance: float | None = None,
) -> Quantiser:
    """Move `start` [K, s] to cell means of `samples` [P, s] with `weights` [P], `sweeps` times.

    A point that nothing is nearest to moves to a sample far from its own. Stops early where the
    distortion falls by less than `tolerance` of itself. O(P K s) a sweep.
    """
    points = start
    cells, errors = _nearest(samples, points)
    distortions = [_mean(errors, weights)]
    for _ in range(sweeps):
        points = _means(samples, weights, cells, errors, points)
        cells, errors = _nearest(samples, points)
        distortions.append(_mean(errors, weights))
        if tolerance is not None and distortions[-2] - distortions[-1] <= tolerance:
            break
    return Quantiser(points=points, cells=cells, errors=errors, distortions=tuple(distortions))


def representatives(samples: Tensor, weights: Tensor, count: int, sweeps: int) -> Tensor:
    """Exactly `count` distinct rows [count], ascending, of `samples` [P, s] that stand for it.

    The medoid of each cell after `sweeps` sweeps; where cells are empty, the rows that the medoids
    represent worst. Rows of weight zero come last. Raises ValueError unless 0 < count <= P.
    """
    if not 0 < count <= samples.shape[0]:
        raise ValueError(f"count must be between 1 and {samples.shape[0]} rows, got {count}")
    start = number_theoretic_net(count, samples.shape[1])
    start = through_quantiles(start, samples, weights)
    quantiser = lloyd(samples, start, weights, sweeps)
    return _filled(samples, weights, _medoids(quantiser, weights), count).sort().values


def refine(coordinates: Tensor, weights: Tensor, count: int, sweeps: int) -> Tensor:
    """Pairs [count], ascending, that represent a video in appearance and time.

    `coordinates` [P, R] are whitened, leading first; `weights` [P] say how much each pair matters
    (inclusion probabilities). Time comes first, so the net starts at equal-probability time cells.
    """
    pairs = coordinates.shape[0]
    time = torch.arange(pairs, device=coordinates.device, dtype=coordinates.dtype)
    scaled = TIME_WEIGHT * (time - (pairs - 1) / 2) * (12**0.5 / pairs)
    cloud = torch.cat((scaled.unsqueeze(1), coordinates[:, :LEADING]), dim=1)
    return representatives(cloud, weights.to(cloud.dtype), count, sweeps)


def refine_rows(
    coordinates: Tensor, probabilities: Tensor, mask: Tensor, counts: Tensor, sweeps: int
) -> Tensor:
    """`refine` for every row of a batch: pairs [B, K], rows with fewer filled up with P.

    `coordinates` [B, P, R] and inclusion `probabilities` [B, P] of a learned selector, `mask`
    [B, P] true for pairs that exist, `counts` [B]. Masked pairs take no part.
    """
    most, pairs = int(counts.max()), mask.shape[1]
    chosen = torch.full((mask.shape[0], most), pairs, device=mask.device)
    for row, (points, weights, there) in enumerate(
        zip(coordinates, probabilities, mask, strict=True)
    ):
        own, count = there.nonzero().squeeze(1), int(counts[row])
        if count:
            chosen[row, :count] = own[refine(points[own], weights[own], count, sweeps)]
    return chosen


def _nearest(samples: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest point [P] of each sample, the first where equal, and its squared distance [P]."""
    # |x|^2 is the same for every point; samples are centred, so the difference loses little.
    half = points.square().sum(dim=1) / 2
    blocks = torch.split(samples, max(1, _ENTRIES // points.shape[0]))
    cells = torch.cat([(half - block @ points.T).argmin(dim=1) for block in blocks])
    return cells, (samples - points[cells]).square().sum(dim=1)


def _means(
    samples: Tensor, weights: Tensor, cells: Tensor, errors: Tensor, points: Tensor
) -> Tensor:
    mass = weights.new_zeros(points.shape[0]).index_add_(0, cells, weights)
    sums = torch.zeros_like(points).index_add_(0, cells, samples * weights.unsqueeze(1))
    means = sums / torch.where(mass > 0, mass, torch.ones_like(mass)).unsqueeze(1)
    empty = (mass == 0).nonzero().squeeze(1)
    worst = (errors * weights).sort(descending=True, stable=True).indices[: empty.numel()]
    return means.index_copy(0, empty[: worst.numel()], samples[worst])


def _medoids(quantiser: Quantiser, weights: Tensor) -> Tensor:
    """The sample of positive weight nearest the point of each cell that has one, the first
    where equal."""
    cells, points = quantiser.cells, quantiser.points.shape[0]
    errors = quantiser.errors.masked_fill(weights <= 0, torch.inf)
    least = errors.new_full((points,), torch.inf).scatter_reduce(0, cells, errors, "amin")
    order = torch.arange(errors.numel(), device=errors.device)
    won = torch.where((errors == least[cells]) & errors.isfinite(), order, errors.numel())
    first = torch.full_like(order[:1], errors.numel()).expand(points).clone()
    first = first.scatter_reduce(0, cells, won, "amin")
    return first[first < errors.numel()]


def _filled(samples: Tensor, weights: Tensor, picks: Tensor, count: int) -> Tensor:
    """Picks with the worst represented samples added, one after another, up to `count`."""
    _, errors = _nearest(samples, samples[picks])
    losses = (errors * weights).masked_fill(weights <= 0, -1)
    losses[picks] = -torch.inf
    for _ in range(count - picks.numel()):
        worst = losses.argmax()
        picks = torch.cat((picks, worst.unsqueeze(0)))
        errors = (samples - samples[worst]).square().sum(dim=1)
        losses = torch.minimum(losses, (errors * weights).masked_fill(weights <= 0, -1))
        losses[worst] = -torch.inf
    return picks


def _mean(errors: Tensor, weights: Tensor) -> float:
    return float((errors.double() * weights.double()).sum() / weights.double().sum())
