"""A video's own Gaussian: low-rank moments of its pair features, and distances in it.

The covariance is low rank plus diagonal, S = W diag(l) W' + s2 (I - WW'), with W the R leading
principal directions of the video's own features. In the full feature space every frame of a
Gaussian cloud lies on the same contour (the distance has coefficient of variation 1/sqrt(2d)), so
levels and contours are taken in the R-dimensional subspace.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SHRINKAGE = 0.1
"""Share of the covariance replaced by its mean eigenvalue times the identity."""


@dataclass(frozen=True, kw_only=True)
class VideoGaussian:
    """Mean, principal subspace and shrunk variances of one video."""

    mean: Tensor
    """[d]"""
    basis: Tensor
    """[d, R], orthonormal columns, leading direction first."""
    variances: Tensor
    """[R], shrunk, positive."""

    def coordinates(self, features: Tensor) -> Tensor:
        """Whitened principal coordinates [P, R] of `features` [P, d]."""
        centred = features.float() - self.mean
        return centred @ self.basis / self.variances.sqrt()

    def squared_distances(self, features: Tensor) -> Tensor:
        """Squared Mahalanobis distances [P] in the subspace; chi-square with R degrees of freedom
        where the features are Gaussian."""
        return self.coordinates(features).square().sum(dim=1)


def fit(features: Tensor, rank: int, shrinkage: float = SHRINKAGE) -> VideoGaussian:
    """The Gaussian of `features` [P, d] in their min(rank, d, P) leading principal directions.

    Computed in float32 from centred features. Constant features give variances of one, so that
    all distances are zero rather than undefined.
    """
    x = features.float()
    mean = x.mean(dim=0)
    centred = x - mean
    rank = min(rank, *x.shape)
    variances, basis = _principal(centred, rank)
    average = variances.mean()
    if not average > torch.finfo(torch.float32).eps * x.square().mean():
        return VideoGaussian(mean=mean, basis=basis, variances=torch.ones_like(variances))
    shrunk = (1 - shrinkage) * variances + shrinkage * average
    return VideoGaussian(mean=mean, basis=basis, variances=shrunk)


def _principal(centred: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading variances [rank] and directions [d, rank], through the smaller of the two Grams."""
    count, width = centred.shape
    if width <= count:
        values, vectors = torch.linalg.eigh(centred.T @ centred / count)
        return values[-rank:].flip(0).clamp(min=0), vectors[:, -rank:].flip(1)
    values, vectors = torch.linalg.eigh(centred @ centred.T / count)
    values = values[-rank:].flip(0).clamp(min=0)
    basis = centred.T @ vectors[:, -rank:].flip(1)
    return values, basis / basis.norm(dim=0).clamp(min=torch.finfo(torch.float32).tiny)
