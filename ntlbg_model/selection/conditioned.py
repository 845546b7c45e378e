"""The Gaussian of the frames that answer a question: the video's own, times the question's.

A product of two Gaussians is a Gaussian whose precisions add. The question contributes a target
and a precision that is low rank plus diagonal, Lambda = V V' + diag(lambda); the video contributes
its moments, tempered by beta. In feature space this is low rank plus diagonal as well.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.selection.index import VideoIndex


@dataclass(frozen=True, kw_only=True)
class QuestionGaussian:
    """What a question says about the frames that answer it, per row of a batch."""

    target: Tensor
    """[B, R], in standard deviations of the video, from the video's mean."""
    factor: Tensor
    """[B, R, r], V."""
    diagonal: Tensor
    """[B, R], lambda > 0."""
    tempering: Tensor
    """[B, 1], beta in (0, 1): how much the video's own Gaussian counts."""


class QuestionHead(nn.Module):
    """From an encoded question to its Gaussian. The target starts at the video's mean."""

    def __init__(self, width: int, rank: int, query_rank: int) -> None:
        super().__init__()
        self._rank, self._query_rank = rank, query_rank
        self.target = nn.Linear(width, rank)
        self.factor = nn.Linear(width, rank * query_rank)
        self.diagonal = nn.Linear(width, rank)
        self.tempering = nn.Linear(width, 1)
        for layer in (self.diagonal, self.tempering):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, encoded: Tensor) -> QuestionGaussian:
        """`encoded` [B, width]."""
        shape = (-1, self._rank, self._query_rank)
        return QuestionGaussian(
            target=self.target(encoded),
            factor=self.factor(encoded).view(shape) / self._query_rank**0.5,
            diagonal=functional.softplus(self.diagonal(encoded)) + 1e-3,
            tempering=self.tempering(encoded).sigmoid(),
        )


def conditioned_distances(index: VideoIndex, question: QuestionGaussian) -> Tensor:
    """Mahalanobis distances [B, P] of a video's points in the product Gaussian.

    P = beta S^-1 + D Lambda D and mu = P^-1 D Lambda a, in units where the video's mean is zero; D
    are the inverse standard deviations, so that the question's precision has no scale of its own.
    """
    scale = index.spread.reciprocal()
    factor = question.factor * scale.unsqueeze(-1)
    own = factor @ factor.transpose(1, 2) + torch.diag_embed(question.diagonal * scale.square())
    precision = question.tempering.unsqueeze(-1) * index.precision + own
    target = (index.spread * question.target).unsqueeze(-1)
    root = torch.linalg.cholesky(precision)
    mean = torch.cholesky_solve(own @ target, root)
    offsets: Tensor = index.points @ root - (mean.transpose(1, 2) @ root)
    squared: Tensor = offsets.square().sum(-1)
    return squared.clamp(min=torch.finfo(squared.dtype).tiny).sqrt()
