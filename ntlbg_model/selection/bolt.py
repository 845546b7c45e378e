"""BOLT: inverse transform sampling of similarity (Liu et al., CVPR 2025, arXiv 2503.21483).

Similarities are normalised to 0 .. 1, raised to a power and taken as a density over time; K evenly
spaced quantiles of it are the selection. Published, a frame that holds several quantiles is taken
several times, so fewer than K frames are seen. Here each pair's share is capped at one pick and
the rest shared out in proportion, and quantiles are the midpoints (k + 1/2) / K.
"""

import torch
from torch import Tensor

from ntlbg_model.selection.capped import inclusion_probabilities

POWER = 3.0
"""Exponent of the normalised similarity; larger is closer to the most similar pairs. The authors'
scripts take 3, and 2.5 on LongVideoBench."""


def bolt(similarity: Tensor, count: int, power: float = POWER) -> Tensor:
    """Pairs [count], ascending, distinct, at the quantiles of normalised `similarity` [P]."""
    scores = normalised(similarity)
    probabilities = inclusion_probabilities(scores**power, count)
    quantiles = torch.arange(count, dtype=torch.float64, device=similarity.device) + 0.5
    places = torch.searchsorted(probabilities.cumsum(0), quantiles)
    return _distinct(places, similarity.numel())


def normalised(similarity: Tensor) -> Tensor:
    """Similarities [P] in 0 .. 1, in float64; all ones where they are equal."""
    scores = similarity.double()
    low, high = scores.aminmax()
    return torch.where(high > low, (scores - low) / (high - low), torch.ones_like(scores))


def _distinct(places: Tensor, candidates: int) -> Tensor:
    """Ascending `places` made distinct by moving to the next free one: where a share is exactly
    one, rounding of the running sum may put two quantiles into it."""
    order = torch.arange(places.numel(), device=places.device)
    offsets = (places - order).cummax(0).values.clamp(0, candidates - places.numel())
    return offsets + order
