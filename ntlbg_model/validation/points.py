"""V5, V7, V8: representative points are the ones known, self-consistent, and near the bounds."""

import math

import torch
from torch import Tensor

from ntlbg_model.selection.baselines import random, uniform
from ntlbg_model.selection.lbg import Quantiser, lloyd, representatives
from ntlbg_model.selection.net import number_theoretic_net, through_normal, through_quantiles
from ntlbg_model.validation.check import Check, even, generator, normal

KNOWN = {
    2: (-0.7979, 0.7979),
    3: (-1.2240, 0.0, 1.2240),
    4: (-1.5104, -0.4528, 0.4528, 1.5104),
    5: (-1.7241, -0.7646, 0.0, 0.7646, 1.7241),
}
"""Principal points of N(0, 1) (J. Max, IRE Transactions on Information Theory 6(1), 1960)."""


def known_principal_points(seed: int) -> Check:
    """V5: principal points of the normal law, K = 2 to 5. Deterministic: `seed` is not used."""
    samples = through_normal(number_theoretic_net(20001, 1))
    gaps = []
    for count, points in KNOWN.items():
        start = through_normal(number_theoretic_net(count, 1))
        found = lloyd(samples, start, even(samples), 200, tolerance=1e-12).points.squeeze(1)
        gaps.append(float((found - torch.tensor(points, dtype=torch.float64)).abs().max()))
    return Check(
        claim="V5 known principal points",
        quantity="largest difference",
        statistic=max(gaps),
        high=1e-3,
        meaning="N(0, 1), K = 2 to 5, against Max's table",
    )


def self_consistency(seed: int) -> Check:
    """V7: every point is the mean of its cell."""
    samples, quantiser = _converged(seed)
    count = quantiser.cells.bincount(minlength=len(quantiser.points)).unsqueeze(1)
    sums = torch.zeros_like(quantiser.points).index_add_(0, quantiser.cells, samples)
    gap = (quantiser.points - sums / count).norm(dim=1).max() / samples.norm(dim=1).mean()
    return Check(
        claim="V7 self-consistency",
        quantity="largest distance to the cell's mean",
        statistic=float(gap),
        high=1e-3,
        meaning="64 points of N(0, I_4) in units of the mean radius, at convergence",
    )


def points_keep_the_mean(seed: int) -> Check:
    """V7: points with cell weights have the mean of the samples."""
    samples, quantiser = _converged(seed)
    mean = quantiser.points[quantiser.cells].mean(dim=0)
    return Check(
        claim="V7 E xi = mu",
        quantity="distance of the means",
        statistic=float((mean - samples.mean(dim=0)).norm()),
        high=1e-3,
        meaning="cell weights keep the mean",
    )


def distortion_never_rises(seed: int) -> Check:
    """V7: no sweep makes it worse, also with weights and empty cells."""
    source = generator(seed, 21)
    rises = []
    for count in (8, 64, 512):
        samples = normal(source, 2000, 6).double()
        weights = torch.rand(2000, generator=source).double() ** 8
        start = through_quantiles(number_theoretic_net(count, 6), samples, weights)
        distortions = torch.tensor(lloyd(samples, start, weights, 20).distortions)
        rises.append(float(distortions.diff().max()))
    return Check(
        claim="V7 monotone sweeps",
        quantity="largest rise of the distortion",
        statistic=max(rises),
        high=1e-9,
        meaning="20 weighted sweeps at K = 8, 64, 512",
    )


def shannon_bound(seed: int) -> Check:
    """V8: the distortion is above K^(-2/p), and not far above."""
    samples = normal(generator(seed, 22), 8192, 16)
    start = through_normal(number_theoretic_net(64, 16)).float()
    held_out = normal(generator(seed, 23), 8192, 16)
    points = lloyd(samples, start, even(samples), 30, tolerance=1e-3).points
    found = lloyd(held_out, points, even(held_out), 0).distortions[0] / 16
    bound = 64 ** (-2 / 16)
    return Check(
        claim="V8 Shannon's bound",
        quantity="MSE / p over K^(-2/p)",
        statistic=found / bound,
        low=1.0,
        high=1.25,
        meaning=f"p = 16, K = 64, on other draws: {found:.3f} over {bound:.3f}",
    )


def zador_slope(seed: int) -> Check:
    """V8: log distortion falls with log K at slope -2/p."""
    samples = normal(generator(seed, 24), 16384, 4)
    counts = (16, 32, 64, 128)
    logs = []
    for count in counts:
        start = through_normal(number_theoretic_net(count, 4)).float()
        logs.append(math.log(lloyd(samples, start, even(samples), 40, 1e-3).distortions[-1]))
    return Check(
        claim="V8 Zador's slope",
        quantity="slope over -2/p",
        statistic=_slope([math.log(count) for count in counts], logs) / (-2 / 4),
        low=0.9,
        high=1.1,
        meaning="p = 4, K = 16 to 128",
    )


def better_than_other_sets(seed: int) -> Check:
    """V8: medoids distort less than random, uniform and farthest rows of the same number."""
    samples = normal(generator(seed, 25), 2048, 6)
    chosen = representatives(samples, even(samples), 64, 20)
    found = _distortion(samples, chosen)
    others = {
        "uniform": uniform(2048, 64),
        "random": random(2048, 64, seed),
        "random start": _medoids_from_random(samples, 64, seed),
    }
    values = {name: _distortion(samples, picks) for name, picks in others.items()}
    return Check(
        claim="V8 distortion of the picks",
        quantity="over the better of random and uniform",
        statistic=found / min(values["uniform"], values["random"]),
        high=0.9,
        meaning=f"64 of 2048 rows: {found:.2f}, uniform {values['uniform']:.2f}, random "
        f"{values['random']:.2f}, k-means from a random start {values['random start']:.2f}",
    )


def _converged(seed: int) -> tuple[Tensor, Quantiser]:
    samples = normal(generator(seed, 20), 4096, 4).double()
    start = through_normal(number_theoretic_net(64, 4))
    return samples, lloyd(samples, start, even(samples), 400, tolerance=0)


def _distortion(samples: Tensor, picks: Tensor) -> float:
    return lloyd(samples, samples[picks], even(samples), 0).distortions[0]


def _medoids_from_random(samples: Tensor, count: int, seed: int) -> Tensor:
    """Rows nearest the points of plain k-means."""
    start = samples[random(len(samples), count, seed + 1)]
    points = lloyd(samples, start, even(samples), 20).points
    return torch.cdist(points, samples).argmin(dim=1)


def _slope(x: list[float], y: list[float]) -> float:
    """Least-squares slope."""
    a, b = torch.tensor(x).double(), torch.tensor(y).double()
    return float(((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum())
