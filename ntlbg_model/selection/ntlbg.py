"""Training-free NTLBG: self-information, capped mass, number-theoretic time cells."""

import math

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import pick, time_cells


def ntlbg(distances: Tensor, count: int, config: SelectionConfig) -> tuple[Tensor, Tensor]:
    """Picks [count], ascending, and scores [P].

    `distances` [P] are Mahalanobis distances in the video's own principal subspace. The mass is
    pi = (1 - alpha) softmax(score / temperature) + alpha / P with alpha the uniform floor: any
    window of L pairs then holds at least floor(alpha K L / P) - 1 picks, whatever the scores.
    """
    scores = ntlbg_scores(distances, count, config)
    alpha = config.uniform_floor
    mass = (1 - alpha) * (scores / config.temperature).softmax(0) + alpha / scores.numel()
    cells = time_cells(inclusion_probabilities(mass, count), count)
    return pick(scores, cells, count), scores


def ntlbg_scores(distances: Tensor, count: int, config: SelectionConfig) -> Tensor:
    """Self-information, a preference for the contour, or both, by `constraint_type`.

    none: the distance above its mean. soft: the same plus -((D - c) / mean D)^2 / (2 width^2).
    hard: -|D - c| alone.
    """
    information = distances - distances.mean()
    if config.constraint_type == "none":
        return information
    level = contour_level(distances, count, config)
    if config.constraint_type == "hard_equicontour":
        return -(distances - level).abs()
    scale = distances.mean().clamp(min=torch.finfo(torch.float32).tiny)
    offset = (distances - level) / scale
    return information - offset.square() / (2 * config.contour_width**2)


def contour_level(distances: Tensor, count: int, config: SelectionConfig) -> float:
    """The distance c of the contour that `constraint_type` refers to.

    rate is the radius of K representative points of a Gaussian in R dimensions by the Shannon
    bound, sqrt(1 - K^(-2/R)) of the root mean square distance. Raises ValueError for 'learned',
    which needs a trained selector.
    """
    if config.contour == "median":
        return float(distances.median())
    if config.contour == "quantile":
        return float(distances.quantile(config.contour_quantile))
    if config.contour == "zero":
        return 0.0
    if config.contour == "rate":
        shrink = math.sqrt(1 - count ** (-2 / config.rank))
        return shrink * float(distances.square().mean().sqrt())
    raise ValueError(f"contour {config.contour!r} has no closed form")
