"""V12, V13, V14: more frames, bad frames, noisy frames."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection import gaussian, robust
from ntlbg_model.selection.gaussian import VideoGaussian
from ntlbg_model.selection.index import index_points
from ntlbg_model.selection.lbg import lloyd, representatives
from ntlbg_model.selection.ntlbg import ntlbg
from ntlbg_model.validation.check import Check, even, generator, normal

SIZES = (128, 512, 2048, 8192)
REPEATS = 24
WIDTH = 8
FAR = 1e3
"""Distance of the outliers, in standard deviations."""


Fit = Callable[[Tensor, int, float], VideoGaussian]


def moments_converge(seed: int) -> Check:
    """V12: errors of mean and covariance fall as n^(-1/2)."""
    source = generator(seed, 50)
    scale = torch.linspace(0.5, 2, 8)
    errors: dict[str, list[float]] = {"mean": [], "covariance": []}
    for size in SIZES:
        x = normal(source, REPEATS, size, 8) * scale + 1
        index = index_points(x, shrinkage=0)
        mean = (x - index.points).mean(1)
        covariance = index.covariance - scale.square().diag()
        errors["mean"].append(float((mean - 1).norm(dim=1).mean()))
        errors["covariance"].append(float(covariance.norm(dim=(1, 2)).mean()))
    slopes = {name: _slope(values) for name, values in errors.items()}
    return Check(
        claim="V12 consistency of the moments",
        quantity="slope farthest from -1/2",
        statistic=max(slopes.values(), key=lambda slope: abs(slope + 0.5)),
        low=-0.55,
        high=-0.45,
        meaning=f"n = {SIZES[0]} to {SIZES[-1]}: mean {slopes['mean']:.3f}, covariance "
        f"{slopes['covariance']:.3f}",
    )


def picks_converge(seed: int) -> Check:
    """V12: the distortion of medoids approaches that of free points as frames grow."""
    source = generator(seed, 51)
    test = normal(source, 8192, 3)
    free = lloyd(test, test[:16], even(test), 100, tolerance=1e-4).distortions[-1]
    excess = []
    for size in (128, 1024, 8192):
        samples = normal(source, size, 3)
        picks = samples[representatives(samples, even(samples), 16, 30)]
        excess.append(lloyd(test, picks, even(test), 0).distortions[0] / free - 1)
    return Check(
        claim="V12 consistency of the picks",
        quantity="excess distortion at n = 8192",
        statistic=excess[-1] if excess[-1] < excess[0] else float("nan"),
        high=0.08,
        meaning=f"16 medoids over free points: {excess[0]:.1%} at 128 frames, {excess[-1]:.1%} "
        "at 8192",
    )


def plain_moments_break(seed: int) -> Check:
    """V13: one far frame carries the plain moments away."""
    bias = _bias(seed, 1 / 400, gaussian.fit)
    return Check(
        claim="V13 plain moments break down",
        quantity="bias, one outlier",
        statistic=bias,
        low=1,
        meaning=f"one of 400 frames at {FAR:.0f} deviations: breakdown point 1/n",
    )


def robust_moments_survive(seed: int) -> Check:
    """V13: a fifth of far frames does not carry the robust moments away."""
    curve = {share: _bias(seed, share, robust.fit) for share in (0.05, 0.1, 0.2)}
    notes = ", ".join(f"{share:.0%}: {bias:.2f}" for share, bias in curve.items())
    return Check(
        claim="V13 robust moments survive",
        quantity="bias, 20 % outliers",
        statistic=curve[0.2],
        high=0.5,
        meaning=f"of mean or log deviation: {notes}; at 40 % {_bias(seed, 0.4, robust.fit):.1f}",
    )


def floor_covers_clean_frames(seed: int) -> Check:
    """V13: the uniform floor keeps clean frames whatever the outliers do."""
    least = []
    for share in (0.01, 0.1, 0.25, 0.5):
        features, clean = _contaminated(seed, share)
        coordinates = gaussian.fit(features, 8).own
        picks, _ = ntlbg(coordinates, 80, SelectionConfig(uniform_floor=0.5))
        guaranteed = 0.5 * 80 * int(clean.sum()) / clean.numel() - 2
        least.append(float(clean[picks].sum()) / guaranteed)
    return Check(
        claim="V13 the floor has no breakdown",
        quantity="clean picks over the guarantee",
        statistic=min(least),
        low=1.0,
        meaning="outliers in one run of 1 to 50 % of the frames, alpha .5, 80 of 400",
    )


def noise_moves_picks_little(seed: int) -> Check:
    """V14: with noisy features the picks stay where they were, in time."""
    clean, top = [], []
    for stream in range(60, 64):
        source = generator(seed, stream)
        features = _walk(source)
        noisy = features + 0.1 * normal(source, *features.shape)
        before, after = (gaussian.fit(x, 8).own for x in (features, noisy))
        clean.append(_agreement(*(ntlbg(x, 48, SelectionConfig())[0] for x in (before, after))))
        top.append(_agreement(*(x.norm(dim=1).topk(48).indices for x in (before, after))))
    found = [sum(values) / len(values) for values in zip(*clean, strict=True)]
    rival = [sum(values) / len(values) for values in zip(*top, strict=True)]
    return Check(
        claim="V14 noise",
        quantity="picks with a noisy pick within 2 pairs",
        statistic=found[1],
        low=0.7,
        meaning=f"noise .1 of a deviation, 48 of 384: Jaccard {found[0]:.2f}; the 48 farthest "
        f"frames {rival[1]:.2f}, Jaccard {rival[0]:.2f}",
    )


def _bias(seed: int, share: float, fit: Fit) -> float:
    """The larger of the distance of the mean and the |log| of a deviation, where 0 and 1 are
    right."""
    features, _ = _contaminated(seed, share)
    fitted = fit(features, WIDTH, 0.0)
    scale = (fitted.variances.sqrt().log()).abs().max()
    return max(float((fitted.basis @ fitted.centre).norm()), float(scale))


def _contaminated(seed: int, share: float) -> tuple[Tensor, Tensor]:
    """Features [400, d] with a run of outliers, and which pairs are clean."""
    features = normal(generator(seed, 52), 400, WIDTH)
    bad = max(1, round(share * 400))
    features[100 : 100 + bad] += FAR / WIDTH**0.5
    clean = torch.ones(400, dtype=torch.bool)
    clean[100 : 100 + bad] = False
    return features, clean


def _walk(source: torch.Generator) -> Tensor:
    """Features [384, 16] of scenes with slow drift and a few flashes."""
    scenes = normal(source, 12, 16).repeat_interleave(32, dim=0)
    features = scenes + 0.2 * normal(source, 384, 16)
    flashes = torch.randperm(384, generator=source)[:8]
    features[flashes] += 4 * normal(source, 8, 16)
    return features


def _agreement(before: Tensor, after: Tensor) -> tuple[float, float]:
    """Jaccard index, and share of picks with another within two pairs."""
    same = len(set(before.tolist()) & set(after.tolist()))
    near = ((before.unsqueeze(1) - after).abs().amin(1) <= 2).double().mean()
    return same / (2 * before.numel() - same), float(near)


def _slope(errors: list[float]) -> float:
    x = torch.tensor([math.log(size) for size in SIZES], dtype=torch.float64)
    y = torch.tensor(errors, dtype=torch.float64).log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
