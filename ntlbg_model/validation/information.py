"""V9: what a set of representatives keeps of the law."""

import torch
from torch import Tensor

from ntlbg_model.selection.baselines import random
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.lbg import lloyd, representatives
from ntlbg_model.selection.ntlbg import floored
from ntlbg_model.validation.check import Check, even, generator, normal

NOISE = 0.1
"""Variance of the channel in which information is measured."""


def information_grows(seed: int) -> Check:
    """V9: Gaussian mutual information retained grows with the number of points."""
    samples = normal(generator(seed, 30), 2048, 6)
    whole = _information(_moments(samples, even(samples))[1])
    kept = []
    for count in (8, 16, 32, 64, 128, 256):
        picks = representatives(samples, even(samples), count, 8)
        kept.append(_information(_moments(samples[picks], _shares(samples, picks))[1]) / whole)
    return Check(
        claim="V9 information retained",
        quantity="least gain from doubling K",
        statistic=float(torch.tensor(kept).diff().min()),
        low=0.0,
        meaning=f"K = 8 to 256 with cell weights: {kept[0]:.2f} to {kept[-1]:.2f} of the whole",
    )


def divergence_of_the_picks(seed: int) -> Check:
    """V9: the Gaussian of weighted representatives is nearer the video's than a random set's.

    In few dimensions: where the distortion is large they understate the spread, and a random set
    may be nearer.
    """
    found, middle = _divergences(seed, 3)
    ratio_in_six = "{:.3f}, {:.3f}".format(*_divergences(seed, 6))
    return Check(
        claim="V9 divergence",
        quantity="KL of the picks over random sets'",
        statistic=found / middle,
        high=1.0,
        meaning=f"closed form, 64 of 2048, p = 3: {found:.3f}, random {middle:.3f}; at p = 6 "
        f"{ratio_in_six}: no gain, the spread is understated",
    )


def distance_between_laws(seed: int) -> Check:
    """V9: without assuming Gaussians, the energy distance says the same."""
    samples = normal(generator(seed, 32), 1024, 6)
    picks = representatives(samples, even(samples), 64, 8)
    found = _energy(samples, picks, _shares(samples, picks))
    others = [random(1024, 64, seed + k) for k in range(20)]
    middle = float(torch.tensor([_energy(samples, o, even(o.double())) for o in others]).median())
    return Check(
        claim="V9 energy distance",
        quantity="picks over random sets",
        statistic=found / middle,
        high=1.0,
        meaning=f"weighted representatives {found:.4f}, random sets {middle:.4f}",
    )


def points_shrink_the_spread(seed: int) -> Check:
    """V9: points have less spread than the law by exactly the distortion."""
    samples = normal(generator(seed, 33), 4096, 6).double()
    start = samples[random(4096, 64, seed)]
    quantiser = lloyd(samples, start, even(samples), 400, tolerance=0)
    own = quantiser.points[quantiser.cells].square().sum(1).mean()
    gap = samples.square().sum(1).mean() - own - quantiser.distortions[-1]
    return Check(
        claim="V9 E|xi|² = E|X|² - MSE",
        quantity="difference of the sides",
        statistic=abs(float(gap)),
        high=1e-3,
        meaning=f"representatives understate the spread by the MSE, {quantiser.distortions[-1]:.2f}"
        f" of {float(samples.square().sum(1).mean()):.2f}",
    )


def effective_size(seed: int) -> Check:
    """V9: the entropy of the inclusion probabilities is at least what the floor guarantees."""
    scores = 3 * normal(generator(seed, 34), 512)
    share = inclusion_probabilities(floored(scores / 0.7, 0.5), 64) / 64
    size = float((-(share * share.clamp(min=1e-300).log()).sum()).exp())
    return Check(
        claim="V9 effective sample size",
        quantity="exp H of p over P",
        statistic=size / 512,
        low=0.25,
        high=1.0,
        meaning=f"floor .5: the mass is spread as if over {size:.0f} of 512 pairs",
    )


def _divergences(seed: int, dimensions: int) -> tuple[float, float]:
    """Divergence of representatives from all samples, and the median of random sets'."""
    samples = normal(generator(seed, 31), 2048, dimensions)
    whole = _moments(samples, even(samples))
    picks = representatives(samples, even(samples), 64, 8)
    found = _divergence(_moments(samples[picks], _shares(samples, picks)), whole)
    others = [random(2048, 64, seed + k) for k in range(20)]
    rest = [_divergence(_moments(samples[o], even(o.double())), whole) for o in others]
    return found, float(torch.tensor(rest).median())


def _shares(samples: Tensor, picks: Tensor) -> Tensor:
    """Samples [K] that each pick is nearest to."""
    cells = lloyd(samples, samples[picks], even(samples), 0).cells
    return cells.bincount(minlength=picks.numel()).double()


def _moments(rows: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    x, w = rows.double(), (weights / weights.sum()).double()
    mean = w @ x
    return mean, (x - mean).T @ ((x - mean) * w.unsqueeze(1))


def _information(covariance: Tensor) -> float:
    identity = torch.eye(len(covariance), dtype=torch.float64)
    return 0.5 * float(torch.logdet(identity + covariance / NOISE))


def _divergence(of: tuple[Tensor, Tensor], to: tuple[Tensor, Tensor]) -> float:
    """KL(N_of || N_to)."""
    gap = to[0] - of[0]
    ratio = torch.linalg.solve(to[1], of[1])
    squared = gap @ torch.linalg.solve(to[1], gap)
    return 0.5 * float(ratio.trace() - len(gap) + squared - torch.logdet(ratio))


def _energy(samples: Tensor, picks: Tensor, weights: Tensor) -> float:
    """Energy distance of the weighted picks and the samples (Szekely and Rizzo, 2004)."""
    x, y = samples.double(), samples[picks].double()
    w = (weights / weights.sum()).double()
    between = float((torch.cdist(x, y).mean(0) * w).sum())
    return 2 * between - float(torch.cdist(x, x).mean()) - float(w @ torch.cdist(y, y) @ w)
