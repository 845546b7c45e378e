"""V3, V4, V6: which contours representatives lie on."""

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection import gaussian
from ntlbg_model.selection.contour import contour_level
from ntlbg_model.selection.lbg import Quantiser, lloyd
from ntlbg_model.selection.net import number_theoretic_net, through_normal
from ntlbg_model.selection.ntlbg import ntlbg
from ntlbg_model.validation.check import Check, even, generator, normal

PAIRS, KEPT, RANK = 512, 64, 16
PERMUTATIONS = 999
CONTOUR = 0.2
"""Share of the variance of the distance up to which picks are said to lie on a contour."""


def picks_on_the_contour(seed: int) -> Check:
    """V3: with the contour alone as score, picks spread less about it than random sets."""
    config = SelectionConfig(
        constraint_type="hard_equicontour",
        contour="quantile",
        contour_quantile=0.5,
        uniform_floor=0.3,
    )
    ratio, p = _spread_of_picks(seed, config)
    return Check(
        claim="V3 equicontour",
        quantity="variance of D, picks over all",
        statistic=ratio if p < 0.01 else float("nan"),
        high=CONTOUR,
        meaning=f"frozen Gaussian, R = {RANK}: p {p:.3f} against {PERMUTATIONS} random sets",
    )


def picks_by_information(seed: int) -> Check:
    """V3: without the contour there is none, and this is said."""
    ratio, p = _spread_of_picks(seed, SelectionConfig())
    return Check(
        claim="V3 no contour by default",
        quantity="variance of D, picks over all",
        statistic=ratio,
        low=CONTOUR,
        meaning=f"self-information picks are one-sided, far out (p {p:.3f}), but on no contour",
    )


def placebo(seed: int) -> Check:
    """V3: a Gaussian fitted to the picks themselves puts any set on one contour."""
    source = generator(seed, 11)
    features = normal(source, PAIRS, 2 * RANK)
    picks = torch.randperm(PAIRS, generator=source)[: RANK + 2]
    fitted = gaussian.fit(features[picks], RANK, shrinkage=0)
    inside = fitted.own.norm(dim=1)
    outside = fitted.squared_distances(features).sqrt()
    return Check(
        claim="V3 placebo",
        quantity="variance of D, picks over all",
        statistic=float(inside.var() / outside.var()),
        high=0.1,
        meaning="a random set looks as if on a contour once mean and covariance follow it: why "
        "the test freezes them",
    )


def level_of_principal_points(seed: int) -> Check:
    """V4: radius sqrt(1 - MSE / p), an inner contour, below the rate-distortion bound."""
    gaps, notes = [], []
    for stream, dimensions in ((12, 8), (13, 16)):
        quantiser = _principal_points(seed, stream, dimensions)
        radius = float(quantiser.points.norm(dim=1).mean()) / dimensions**0.5
        identity = (1 - quantiser.distortions[-1] / dimensions) ** 0.5
        gaps.append(abs(radius - identity))
        notes.append(f"p = {dimensions}: {radius:.3f} and {identity:.3f}")
    return Check(
        claim="V4 contour level",
        quantity="radius less sqrt(1 - MSE/p)",
        statistic=max(gaps),
        high=0.01,
        meaning=f"64 points; {', '.join(notes)}; the median frame is near 1",
    )


def rate_level(seed: int) -> Check:
    """V4: the level 'rate' bounds it from above, and closely."""
    quantiser = _principal_points(seed, 13, 16)
    unit = torch.ones(4, dtype=torch.float64) * 16**0.5
    bound = float(contour_level(unit, "rate", count=64, rank=16, quantile=0.5))
    return Check(
        claim="V4 rate level",
        quantity="radius over contour 'rate'",
        statistic=float(quantiser.points.norm(dim=1).mean()) / bound,
        low=0.85,
        high=1.0,
        meaning="sqrt(1 - K^(-2/R)) bounds the level of 64 points in 16 dimensions from above",
    )


def one_contour_in_many_dimensions(seed: int) -> Check:
    """V4: in 16 dimensions 64 points lie near one contour."""
    quantiser = _principal_points(seed, 13, 16)
    radii = quantiser.points.norm(dim=1)
    population = normal(generator(seed, 14), 4096, 16).norm(dim=1)
    spread = float(radii.std() / radii.mean())
    return Check(
        claim="V4 one contour, 16 dimensions",
        quantity="variation of radius, points over all",
        statistic=spread / float(population.std() / population.mean()),
        high=0.35,
        meaning=f"coefficient of variation {spread:.3f}; true in moderate dimension only (V6)",
    )


SHELLS = {2: [2], 3: [3], 4: [4], 5: [1, 4], 6: [1, 5], 7: [1, 6], 8: [2, 6]}
"""Points on each contour of N(0, I_2), from inside, by the number of points."""


def shells_in_the_plane(seed: int) -> Check:
    """V6: in two dimensions the number of contours grows, and nothing forces one."""
    source = generator(seed, 15)
    samples = normal(source, 8192, 2)
    wrong = [k for k in SHELLS if _shells(_best(samples, k, source)) != SHELLS[k]]
    return Check(
        claim="V6 contours in the plane",
        quantity="numbers of points with other shells",
        statistic=float(len(wrong)),
        high=0,
        meaning="one ring to K = 4, centre and ring to 7, two rings at 8: equicontour is "
        "no universal property",
    )


def _spread_of_picks(seed: int, config: SelectionConfig) -> tuple[float, float]:
    """Ratio of the variance of the distance, and the share of random sets with as small a one."""
    source = generator(seed, 10)
    features = normal(source, PAIRS, 2 * RANK)
    coordinates = gaussian.fit(features, RANK).own
    distances = coordinates.norm(dim=1)
    picks, _ = ntlbg(coordinates, KEPT, config)
    found = distances[picks].var()
    sets = torch.stack(
        [torch.randperm(PAIRS, generator=source)[:KEPT] for _ in range(PERMUTATIONS)]
    )
    smaller = int((distances[sets].var(dim=1) <= found).sum())
    return float(found / distances.var()), (1 + smaller) / (1 + PERMUTATIONS)


def _principal_points(seed: int, stream: int, dimensions: int) -> Quantiser:
    samples = normal(generator(seed, stream), 8192, dimensions)
    start = through_normal(number_theoretic_net(64, dimensions)).float()
    return lloyd(samples, start, even(samples), 60, tolerance=1e-4)


def _best(samples: Tensor, count: int, source: torch.Generator, starts: int = 12) -> Tensor:
    """Points of least distortion over the net and random starts."""
    net = through_normal(number_theoretic_net(count, 2)).float()
    draws = [torch.randperm(len(samples), generator=source)[:count] for _ in range(starts - 1)]
    found = [
        lloyd(samples, start, even(samples), 60, tolerance=1e-5)
        for start in (net, *(samples[draw] for draw in draws))
    ]
    return min(found, key=lambda quantiser: quantiser.distortions[-1]).points


def _shells(points: Tensor, gap: float = 0.4) -> list[int]:
    """Sizes of groups of radii that a gap separates, from inside."""
    radii = points.norm(dim=1).sort().values
    new = torch.cat((torch.zeros(1, dtype=torch.long), (radii.diff() > gap).long().cumsum(0)))
    return new.bincount().tolist()
