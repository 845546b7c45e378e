"""The contour of a distance that representatives should lie on, and the score of each pair.

In R dimensions the squared distance of a Gaussian is chi-square with R degrees of freedom, so the
median contour is the typical set and holds the most ordinary frames. Representative points lie on
inner contours (E|xi|^2 = E|X|^2 - MSE), rare frames on outer ones: the level is a quantity to be
chosen, derived from the rate or learned, never the median by default.
"""

import torch
from torch import Tensor


def contour_level(
    distances: Tensor,
    mode: str,
    *,
    count: int | Tensor,
    rank: int,
    quantile: float,
    mask: Tensor | None = None,
) -> Tensor:
    """Level [..., 1] of the contour among `distances` [..., P].

    median, quantile: of the row's own distances. zero: relevance, the nearer the better. rate: the
    radius of K representative points of a Gaussian in R dimensions by the Shannon bound,
    sqrt(1 - K^(-2/R)) of the root mean square distance. Raises ValueError for any other mode:
    'learned' is no function of the distances. `count` is one number or one a row. A row without
    any pair gives a finite level.
    """
    if mode == "zero":
        return torch.zeros_like(distances[..., :1])
    valid = distances
    if mask is not None:
        valid = distances.masked_fill(~mask & mask.any(-1, keepdim=True), torch.nan)
    if mode == "median":
        return valid.nanmedian(-1, keepdim=True).values
    if mode == "quantile":
        return valid.nanquantile(quantile, dim=-1, keepdim=True)
    if mode == "rate":
        kept = torch.as_tensor(count, device=distances.device).to(distances.dtype).unsqueeze(-1)
        return (1 - kept ** (-2 / rank)).sqrt() * valid.square().nanmean(-1, keepdim=True).sqrt()
    raise ValueError(f"contour {mode!r} has no closed form")


def off_contour(distances: Tensor, level: Tensor, width: Tensor | float) -> Tensor:
    """(D - c)^2 / (2 width^2) [..., P], all three in the same unit: zero on the contour."""
    return (distances - level).square() / (2 * torch.as_tensor(width).square())
