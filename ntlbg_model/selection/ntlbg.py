"""Training-free NTLBG: self-information, capped mass, number-theoretic time cells."""

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import pick, time_cells
from ntlbg_model.selection.contour import contour_level, off_contour
from ntlbg_model.selection.lbg import refine


def ntlbg(coordinates: Tensor, count: int, config: SelectionConfig) -> tuple[Tensor, Tensor]:
    """Picks [count], ascending, and scores [P].

    `coordinates` [P, R] are whitened, in the video's own principal subspace, leading first; their
    norm is the Mahalanobis distance. The mass is pi = (1 - alpha) softmax(score / temperature) +
    alpha / P with alpha the uniform floor: any window of L pairs then holds at least
    floor(alpha K L / P) - 1 picks, whatever the scores. With `refine_iterations` the picks are
    instead the medoids of representative points, the mass being their weights; the bound on
    windows then holds no longer.
    """
    scores = ntlbg_scores(coordinates.norm(dim=1), count, config)
    mass = floored(scores / config.temperature, config.uniform_floor)
    probabilities = inclusion_probabilities(mass, count)
    if config.refine_iterations > 0:
        return refine(coordinates, probabilities, count, config.refine_iterations), scores
    return pick(scores, time_cells(probabilities, count), count), scores


def floored(logits: Tensor, floor: float | Tensor, mask: Tensor | None = None) -> Tensor:
    """Mass [..., P]: (1 - alpha) softmax(logits) + alpha / n, n the unmasked pairs of a row."""
    if mask is None:
        return (1 - floor) * logits.softmax(-1) + floor / logits.shape[-1]
    even = mask / mask.sum(-1, keepdim=True).clamp(min=1)
    peaked = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    return ((1 - floor) * peaked + floor * even).masked_fill(~mask, 0)


def ntlbg_scores(distances: Tensor, count: int, config: SelectionConfig) -> Tensor:
    """Self-information, a preference for the contour, or both, by `constraint_type`.

    none: the distance above its mean. soft: the same plus -((D - c) / mean D)^2 / (2 width^2).
    hard: -|D - c| alone. Raises ValueError for contour 'learned', which needs a trained selector.
    """
    information = distances - distances.mean()
    if config.constraint_type == "none":
        return information
    level = contour_level(
        distances,
        config.contour,
        count=count,
        rank=config.rank,
        quantile=config.contour_quantile,
    )
    if config.constraint_type == "hard_equicontour":
        return -(distances - level).abs()
    scale = distances.mean().clamp(min=torch.finfo(torch.float32).tiny)
    return information - off_contour(distances / scale, level / scale, config.contour_width)
