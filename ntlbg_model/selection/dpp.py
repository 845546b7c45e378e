"""A determinantal point process conditioned on the question, after MDP3 (Sun et al., ICCV 2025,
arXiv 2501.02885).

The kernel is relevance x similarity x relevance: the similarity of two pairs is a mean of Gaussian
kernels of five widths, as published, and the greedy maximum of the determinant is found as by Chen
et al. (arXiv 1709.05135), with kernel rows computed when needed. Published, relevance is the same
kernel between frame and question in one embedding, weighted by 1 / 0.2, and dynamic programming
spreads the budget over segments of 32 frames. Here relevance is exponential in the similarity,
which may come from another encoder than the features, widths are relative to the video's own
variance, and the video is one segment.
"""

import torch
from torch import Tensor

from ntlbg_model.selection.bolt import normalised
from ntlbg_model.selection.farthest_point import centred, squared_distances

WIDTHS = tuple(2.0**k for k in range(-3, 2))
"""Squared widths of the Gaussian kernels, in units of the mean squared distance of two pairs."""
RELEVANCE = 5.0
"""Weight of the similarity (0 .. 1) to the question against the log-determinant."""
FLOOR = 1e-6
"""Least conditional variance: what is left of a duplicate is rounding."""


def dpp(features: Tensor, count: int, similarity: Tensor | None = None) -> Tensor:
    """Pairs [count], ascending, distinct, of `features` [P, d] and `similarity` [P].

    Without similarity only diversity counts. A kernel row and a product with the picks so far a
    pick: O(P K (d + K)).
    """
    rows, norms = centred(features)
    scale = 2 * norms.mean().clamp(min=torch.finfo(torch.float32).tiny)
    bonus = torch.zeros_like(norms)
    if similarity is not None:
        bonus = RELEVANCE * normalised(similarity).to(norms)
    variances = torch.ones_like(norms)
    factors = rows.new_zeros(count, norms.numel())
    picks: list[Tensor] = []
    free = bonus.clone()
    for step in range(count):
        pick = (free + variances.clamp(min=FLOOR).log()).argmax().view(1)
        picks.append(pick)
        free.index_fill_(0, pick, -torch.inf)
        kernel = _gaussians(squared_distances(rows, norms, pick) / scale)
        known = factors[:step]
        residual = kernel - known.index_select(1, pick)[:, 0] @ known
        factors[step] = residual / variances.index_select(0, pick).clamp(min=FLOOR).sqrt()
        variances = variances - factors[step].square()
    return torch.cat(picks).sort().values


def _gaussians(distances: Tensor) -> Tensor:
    """Mean over `WIDTHS` of exp(-distance / (2 width))."""
    kernel = torch.exp(-distances / (2 * WIDTHS[-1]))
    total = kernel.clone()
    for _ in WIDTHS[1:]:
        kernel = kernel.square()  # half the width
        total += kernel
    return total / len(WIDTHS)
