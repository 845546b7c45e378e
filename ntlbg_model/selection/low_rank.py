"""Mahalanobis distances of a covariance that is low rank plus diagonal, without the d x d matrix.

D^2 = (x - mu)' (U U' + D0)^-1 (x - mu). By Woodbury's identity, with y = D0^-1/2 (x - mu) and the
singular directions Q and values s of D0^-1/2 U: D^2 = |y - Q Q'y|^2 + sum (q'y)^2 / (1 + s^2). A
sum of positive terms: nothing cancels where the diagonal is small. O(P d r + d r^2).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LowRankGaussian:
    """N(mean, U U' + diag(diagonal)) in d dimensions."""

    mean: Tensor
    """[d]."""
    factor: Tensor
    """[d, r], U; may be rank deficient."""
    diagonal: Tensor
    """[d], non-negative; zeros are raised to the resolution of float32."""

    def squared_distances(self, x: Tensor) -> Tensor:
        """Squared Mahalanobis distances [P] of `x` [P, d], float32 whatever the type of `x`.

        Centred before anything is squared: uncentred expansions lose all digits where the mean is
        large beside the spread.
        """
        deviation = self._deviation()
        y = (x.float() - self.mean.float()) / deviation
        directions, values, _ = torch.linalg.svd(
            self.factor.float() / deviation.unsqueeze(1), full_matrices=False
        )
        along = y @ directions
        across = y - along @ directions.T
        inside: Tensor = (along.square() / (1 + values.square())).sum(1)
        inside += across.square().sum(1)
        return inside

    def _deviation(self) -> Tensor:
        """Standard deviations [d] of the diagonal part."""
        diagonal = self.diagonal.float()
        scale = diagonal.mean() + self.factor.float().square().sum(1).mean()
        least = torch.where(scale > 0, scale * torch.finfo(torch.float32).eps, scale + 1)
        return torch.maximum(diagonal, least).sqrt()
