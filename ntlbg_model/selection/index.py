"""What a learned selector keeps of a video: one pass over its features, whatever is asked later."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ntlbg_model.selection.gaussian import SHRINKAGE

ROWS = 512
"""Pairs projected at a time: the block and its product stay in the cache."""


@dataclass(frozen=True, kw_only=True)
class VideoIndex:
    """A batch of videos in the selector's subspace, float32. Does not depend on the question."""

    points: Tensor
    """[B, P, R], projected features about the row's mean; zeros where masked."""
    covariance: Tensor
    """[B, R, R], the row's shrunk covariance S."""
    precision: Tensor
    """[B, R, R], its inverse."""
    spread: Tensor
    """[B, R], standard deviations."""
    information: Tensor
    """[B, P], Mahalanobis distance in the video's own Gaussian less its mean: self-information up
    to scale; zeros where masked."""
    mask: Tensor
    """[B, P], true for pairs that exist."""

    @torch.no_grad()
    def whitened(self) -> Tensor:
        """Points [B, P, R] in which the video's own covariance is the identity; constants."""
        whitened: Tensor = self.points @ torch.linalg.cholesky(self.precision)
        return whitened


def project(features: Tensor, directions: Tensor) -> Tensor:
    """Features [B, P, d] of any float type on `directions` [d, R], accumulated in float32.

    The only pass over the features. Half precision is widened block by block.
    """
    if features.dtype == torch.float32:
        tracked = torch.is_grad_enabled() and (features.requires_grad or directions.requires_grad)
        if features.is_cuda or tracked or not _ONEDNN:
            return features @ directions
        thin: Tensor = torch.ops.mkldnn._linear_pointwise(
            features, directions.T.contiguous(), None, "none", [], ""
        )
        return thin
    rows = features.flatten(0, 1)
    blocks = [block.float() @ directions for block in torch.split(rows, ROWS)]
    return torch.cat(blocks).view(*features.shape[:-1], -1)


_ONEDNN = torch.backends.mkldnn.enabled and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""oneDNN's product is 2.4 times as fast as BLAS's where one side is 16 wide (8192 x 4096,
benchmarks/selection_speed.py); torch has no public function that asks for it."""


def index_points(
    projected: Tensor, mask: Tensor | None = None, shrinkage: float = SHRINKAGE
) -> VideoIndex:
    """Moments and self-information of `projected` [B, P, R] (a tensor that may carry gradient).

    Centred before squaring. A row without variance gets the identity as its covariance; a row
    without any pair is all zeros.
    """
    if mask is None:
        mask = projected.new_ones(projected.shape[:2], dtype=torch.bool)
    weight = mask.unsqueeze(-1).to(projected.dtype)
    size = weight.sum(1, keepdim=True).clamp(min=1)
    mean = (projected * weight).sum(1, keepdim=True) / size
    points = (projected - mean) * weight
    covariance = points.transpose(1, 2) @ points / size
    covariance = _shrunk(covariance, (mean.square().mean(-1)).squeeze(1), shrinkage)
    factor = torch.linalg.cholesky(covariance)
    whitened = torch.linalg.solve_triangular(factor, points.transpose(1, 2), upper=False)
    distance = whitened.square().sum(1).clamp(min=torch.finfo(projected.dtype).tiny).sqrt()
    flat = weight.squeeze(-1)
    average = (distance * flat).sum(1, keepdim=True) / size.squeeze(-1)
    return VideoIndex(
        points=points,
        covariance=covariance,
        precision=torch.cholesky_inverse(factor),
        spread=covariance.diagonal(dim1=1, dim2=2).sqrt(),
        information=(distance - average) * flat,
        mask=mask,
    )


def _shrunk(covariance: Tensor, offset: Tensor, shrinkage: float) -> Tensor:
    """(1 - s) S + s tr(S)/R I [B, R, R]; the identity where S is rounding error."""
    rank = covariance.shape[-1]
    identity = torch.eye(rank, device=covariance.device, dtype=covariance.dtype)
    average = covariance.diagonal(dim1=1, dim2=2).mean(-1)
    floor = torch.finfo(covariance.dtype).eps * (average + offset)
    shrunk = (1 - shrinkage) * covariance + shrinkage * average.view(-1, 1, 1) * identity
    return torch.where((average > floor).view(-1, 1, 1), shrunk, identity)
