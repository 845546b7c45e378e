"""V1, V2: squared distances follow the law they should, in numbers that can be trusted."""

import torch
from torch import Tensor

from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.selection import gaussian, robust
from ntlbg_model.selection.chi_square import chi_square_quantile, chi_square_share
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.index import index_points
from ntlbg_model.selection.low_rank import LowRankGaussian
from ntlbg_model.validation.check import Check, generator, normal
from ntlbg_model.validation.goodness import (
    ANDERSON_DARLING_ONE_PERCENT,
    anderson_darling,
    kolmogorov_smirnov,
)

WIDTH, RANK, DRAWS = 256, 16, 4096


def distances_of_a_known_gaussian(seed: int) -> Check:
    """V1: distances by Woodbury in N(mu, UU' + D0) are chi-square with d degrees of freedom."""
    law, x = _low_rank(seed)
    squared = law.squared_distances(x)
    _, p = kolmogorov_smirnov(chi_square_share(squared, WIDTH))
    return Check(
        claim="V1 chi-square law",
        quantity="p of Kolmogorov-Smirnov",
        statistic=p,
        low=0.01,
        meaning=f"low rank plus diagonal, d = {WIDTH}: mean {float(squared.mean()):.1f}, "
        f"variance {float(squared.var()):.0f} ({WIDTH}, {2 * WIDTH} expected)",
    )


def tails_of_a_known_gaussian(seed: int) -> Check:
    """V1: the tails as well."""
    law, x = _low_rank(seed)
    return Check(
        claim="V1 chi-square law, tails",
        quantity="Anderson-Darling A²",
        statistic=anderson_darling(chi_square_share(law.squared_distances(x), WIDTH)),
        high=ANDERSON_DARLING_ONE_PERCENT,
        meaning="the law holds in the tails",
    )


def distances_in_fitted_moments(seed: int) -> Check:
    """V1: in the R-dimensional subspace of a fitted Gaussian they are chi-square with R."""
    source = generator(seed, 1)
    scale = torch.cat((torch.full((RANK,), 5.0), torch.full((48,), 0.1)))
    x = normal(source, DRAWS, 64) * scale + 7
    squared = gaussian.fit(x, RANK, shrinkage=0).squared_distances(x)
    _, p = kolmogorov_smirnov(chi_square_share(squared, RANK))
    return Check(
        claim="V1 chi-square law, fitted",
        quantity="p of Kolmogorov-Smirnov",
        statistic=p,
        low=0.01,
        meaning=f"Gaussian features, moments of the features themselves, R = {RANK}",
    )


def distances_of_a_video(seed: int) -> Check:
    """V1: real features are not Gaussian; this is expected to be rejected."""
    features = rendered_features(seed)
    squared = gaussian.fit(features, RANK, shrinkage=0).squared_distances(features).double()
    _, p = kolmogorov_smirnov(chi_square_share(squared, RANK))
    count = squared.numel()
    law = [chi_square_quantile((k + 0.5) / count, RANK) for k in range(count)]
    slope, tail = _slopes(torch.tensor(law, dtype=torch.float64), squared.sort().values)
    return Check(
        claim="V1 a video is not Gaussian",
        quantity="p of Kolmogorov-Smirnov",
        statistic=p,
        high=0.01,
        meaning=f"pixel features of a rendered video: QQ slope {slope:.2f}, {tail:.2f} in the "
        "upper tenth (1 if Gaussian); normality is no property of videos",
    )


def single_precision(seed: int) -> Check:
    """V2: Woodbury in float32 equals the dense formula in float64."""
    law, x = _low_rank(seed)
    return Check(
        claim="V2 exactness, float32",
        quantity="largest relative error",
        statistic=_error(law.squared_distances(x), _dense(law, x)),
        high=1e-5,
        meaning="against the dense covariance in float64",
    )


def half_precision(seed: int) -> Check:
    """V2: half precision features cost their own rounding and no more."""
    law, x = _low_rank(seed)
    exact = _dense(law, x)
    errors = [
        _error(law.squared_distances(x.to(t)), exact) for t in (torch.float16, torch.bfloat16)
    ]
    return Check(
        claim="V2 exactness, half",
        quantity="largest relative error",
        statistic=max(errors),
        high=2e-2,
        meaning=f"float16 {errors[0]:.1e}, bfloat16 {errors[1]:.1e}",
    )


def degenerate_inputs(seed: int) -> Check:
    """V2: nothing that can happen gives NaN."""
    x = normal(generator(seed, 2), 40, 8)
    thin = torch.zeros(8, 3)
    thin[:, 0] = 1
    moments = [
        fit(rows, 16).own
        for fit in (gaussian.fit, robust.fit)
        for rows in (torch.full((40, 8), 3.7), x[:1], x[:2], torch.zeros(5, 8))
    ]
    laws = [
        LowRankGaussian(mean=x[0], factor=factor, diagonal=diagonal).squared_distances(x)
        for factor in (thin, torch.zeros(8, 3))
        for diagonal in (torch.ones(8), torch.zeros(8))
    ]
    mask = torch.tensor([[True] * 40, [False] * 40, [True] + [False] * 39])
    index = index_points(x.expand(3, -1, -1), mask)
    values = torch.cat(
        [part.flatten() for part in (*moments, *laws, index.points, index.precision)]
        + [index.information.flatten(), index.spread.flatten()]
    )
    return Check(
        claim="V2 degenerate inputs",
        quantity="values that are not finite",
        statistic=float((~values.isfinite()).sum()),
        high=0,
        meaning="rank-deficient factor, no diagonal, constant features, one pair, masked row",
    )


def rendered_features(seed: int) -> Tensor:
    """Pixel features [256, d] of a rendered video."""
    spec = NeedlesSpec(split="clean", videos=1, seed=seed, resolution=56)
    return pair_features(torch.from_numpy(render(sample_video(spec, 0))))


def _low_rank(seed: int) -> tuple[LowRankGaussian, Tensor]:
    source = generator(seed, 0)
    factor = normal(source, WIDTH, RANK)
    diagonal = torch.rand(WIDTH, generator=source) + 0.5
    mean = 3 * normal(source, WIDTH)
    noise = normal(source, DRAWS, WIDTH) * diagonal.sqrt()
    x = mean + normal(source, DRAWS, RANK) @ factor.T + noise
    return LowRankGaussian(mean=mean, factor=factor, diagonal=diagonal), x


def _dense(law: LowRankGaussian, x: Tensor) -> Tensor:
    factor = law.factor.double()
    covariance = factor @ factor.T + law.diagonal.double().diag()
    centred = (x - law.mean).double()
    squared: Tensor = (centred * torch.linalg.solve(covariance, centred.T).T).sum(1)
    return squared


def _error(found: Tensor, exact: Tensor) -> float:
    return float(((found - exact) / exact).abs().max())


def _slopes(law: Tensor, found: Tensor) -> tuple[float, float]:
    """Least-squares slope of the QQ plot, over all and over the upper tenth."""
    slopes = []
    for start in (0, law.numel() * 9 // 10):
        x, y = law[start:] - law[start:].mean(), found[start:] - found[start:].mean()
        slopes.append(float((x * y).sum() / x.square().sum()))
    return slopes[0], slopes[1]
