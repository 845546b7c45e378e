"""A video's own Gaussian: low-rank moments of its pair features, and distances in it.

Moments are taken in the R leading principal directions of the video's own features. In the full
feature space every frame of a Gaussian cloud lies on the same contour (the distance has
coefficient of variation 1/sqrt(2d)), so levels and contours belong to the R-dimensional subspace.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SHRINKAGE = 0.1
"""Share of the covariance replaced by its mean eigenvalue times the identity."""

SAMPLE = 1024
"""Most pairs, evenly spread, from which the directions are found; moments use all of them."""


@dataclass(frozen=True, kw_only=True)
class VideoGaussian:
    """Centre, principal subspace and shrunk variances of one video."""

    centre: Tensor
    """[R], the mean in the subspace."""
    basis: Tensor
    """[d, R], orthonormal columns, leading direction first."""
    variances: Tensor
    """[R], shrunk, positive."""
    own: Tensor
    """[P, R], whitened coordinates of the features that it was fitted on."""

    def coordinates(self, features: Tensor) -> Tensor:
        """Whitened principal coordinates [P, R] of `features` [P, d]."""
        return (features.float() @ self.basis - self.centre) / self.variances.sqrt()

    def squared_distances(self, features: Tensor) -> Tensor:
        """Squared Mahalanobis distances [P] in the subspace; chi-square with R degrees of freedom
        where the features are Gaussian."""
        return self.coordinates(features).square().sum(dim=1)


def fit(features: Tensor, rank: int, shrinkage: float = SHRINKAGE) -> VideoGaussian:
    """The Gaussian of `features` [P, d] in their min(rank, d, P) leading principal directions.

    One pass over all features: directions come from at most `SAMPLE` of the pairs, evenly spread;
    what they project to then gives the moments. In float32, centred before squaring. Constant
    features give variances of one, so that all distances are zero rather than undefined.
    """
    x = features.float()
    sample = spread_sample(x)
    offset = sample.mean(dim=0)
    return gaussian_in(x, offset, sample - offset, rank, shrinkage)


def spread_sample(rows: Tensor) -> Tensor:
    """At most `SAMPLE` of rows [P, d], evenly spread."""
    return rows[:: -(-rows.shape[0] // SAMPLE)]


def gaussian_in(
    x: Tensor,
    offset: Tensor,
    centred: Tensor,
    rank: int,
    shrinkage: float,
    weigh: Callable[[Tensor], Tensor] | None = None,
) -> VideoGaussian:
    """The Gaussian of `x` [P, d] in the leading directions of rows `centred` [n, d].

    `offset` [d] is near the middle of `x`. `weigh` gives the weight [P] in (0, 1] of each
    projected pair [P, R]: as it is for the mean, squared for the scatter.
    """
    basis = _directions(centred, min(rank, *x.shape))
    projected = x @ basis - offset @ basis
    weights = projected.new_ones(x.shape[0]) if weigh is None else weigh(projected)
    mean = weights @ projected / weights.sum()
    about = projected - mean
    weighted = about * weights.unsqueeze(1)
    values, turn = torch.linalg.eigh(weighted.T @ weighted / weights.square().sum())
    variances, turn = values.flip(0).clamp(min=0), turn.flip(1)
    size = offset.square().mean() + spread_sample(x).square().mean()
    shrunk = _shrunk(variances, shrinkage, size)
    return VideoGaussian(
        centre=(mean + offset @ basis) @ turn,
        basis=basis @ turn,
        variances=shrunk,
        own=about @ turn / shrunk.sqrt(),
    )


def _shrunk(variances: Tensor, shrinkage: float, size: Tensor) -> Tensor:
    """Variances [R] drawn to their mean; ones where they are rounding errors of values whose mean
    square is `size`."""
    average = variances.mean()
    if not average > torch.finfo(torch.float32).eps * size:
        return torch.ones_like(variances)
    return (1 - shrinkage) * variances + shrinkage * average


def _directions(centred: Tensor, rank: int) -> Tensor:
    """Leading principal directions [d, rank] of rows, through the smaller of the two Grams."""
    count, width = centred.shape
    if width <= count:
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        directions: Tensor = vectors[:, -rank:].flip(1)
        return directions
    _, vectors = torch.linalg.eigh(centred @ centred.T)
    basis: Tensor = centred.T @ vectors[:, -rank:].flip(1)
    basis = basis / basis.norm(dim=0).clamp(min=torch.finfo(torch.float32).tiny)
    return basis
