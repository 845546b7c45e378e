"""A video's Gaussian that a quarter of its frames cannot carry away.

Directions: principal directions of the features on the unit sphere about their spatial median
(Locantore et al., "Robust principal component analysis for functional data", Test 8, 1999).
Moments in them: a coordinatewise start, concentration steps as in the minimum covariance
determinant (Rousseeuw and Van Driessen, Technometrics 41(3), 1999), then one reweighting with
w = min(1, chi2_.975(R) / D^2) (Campbell, Applied Statistics 29(3), 1980: w for the mean, w^2 for
the scatter, so that the influence of a far frame fades to nothing).
"""

import torch
from torch import Tensor

from ntlbg_model.selection.chi_square import chi_square_quantile
from ntlbg_model.selection.gaussian import SHRINKAGE, VideoGaussian, gaussian_in, spread_sample

KEPT = 0.75
"""Share of the frames that the concentration steps trust."""
STEPS = 4
"""Concentration steps."""


def fit(features: Tensor, rank: int, shrinkage: float = SHRINKAGE) -> VideoGaussian:
    """As `gaussian.fit` of `features` [P, d], with directions and moments that outliers, up to a
    quarter of the pairs, change by no more than a bounded amount however far they are."""
    x = features.float()
    sample = spread_sample(x)
    centre = _spatial_median(sample)
    offsets = sample - centre
    sphere = offsets / offsets.norm(dim=1, keepdim=True).clamp(min=_TINY)
    return gaussian_in(x, centre, sphere, rank, shrinkage, weigh=robust_weights)


def robust_weights(projected: Tensor) -> Tensor:
    """Weights [P] in (0, 1] of rows [P, R]: one within the law's .975 contour, then falling."""
    rank = projected.shape[1]
    limit = chi_square_quantile(0.975, rank)
    squared = _started(projected)
    for _ in range(STEPS):
        squared = _concentrated(projected, squared)
    return (limit / squared.clamp(min=limit)).float()


def _started(rows: Tensor) -> Tensor:
    """Squared distances [P] from the coordinatewise median in units of the central deviation."""
    offsets = rows - rows.median(dim=0).values
    scale = offsets.abs().quantile(KEPT, dim=0)
    return _calibrated((offsets / scale.clamp(min=_TINY)).square().sum(1), rows.shape[1])


def _concentrated(rows: Tensor, squared: Tensor) -> Tensor:
    """Squared distances [P] in the moments of the rows that are nearest so far."""
    kept = max(1, int(KEPT * rows.shape[0]))
    near = rows[squared.sort(stable=True).indices[:kept]]
    mean = near.mean(dim=0)
    scatter = (near - mean).T @ (near - mean) / kept
    ridge = scatter.diagonal().mean().clamp(min=_TINY) * SHRINKAGE
    factor = torch.linalg.cholesky(scatter + ridge * torch.eye(rows.shape[1], device=rows.device))
    whitened = torch.linalg.solve_triangular(factor, (rows - mean).T, upper=False)
    return _calibrated(whitened.square().sum(0), rows.shape[1])


def _calibrated(squared: Tensor, rank: int) -> Tensor:
    """Scaled so that the median is the law's; zeros where more than half the rows agree."""
    middle = squared.median()
    scaled = squared * (chi_square_quantile(0.5, rank) / middle.clamp(min=_TINY))
    return torch.where(middle > _TINY, scaled, torch.zeros_like(squared))


def _spatial_median(rows: Tensor, sweeps: int = 32) -> Tensor:
    """The point [d] with least summed distance to rows [P, d] (Weiszfeld's iteration)."""
    point = rows.median(dim=0).values
    for _ in range(sweeps):
        distance = (rows - point).norm(dim=1)
        weight = 1 / distance.clamp(min=1e-6 * distance.mean().clamp(min=_TINY))
        point = (rows * weight.unsqueeze(1)).sum(0) / weight.sum()
    return point


_TINY = 1e-12
