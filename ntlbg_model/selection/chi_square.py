"""The law of squared Mahalanobis distances of a Gaussian."""

from functools import lru_cache

import torch
from torch import Tensor


def chi_square_share(squared: Tensor, degrees: float) -> Tensor:
    """Share of the chi-square law with `degrees` degrees of freedom below `squared`; float64."""
    half = torch.full_like(squared, degrees / 2, dtype=torch.float64)
    share: Tensor = torch.special.gammainc(half, squared.double() / 2)
    return share


@lru_cache
def chi_square_quantile(share: float, degrees: float) -> float:
    """The value below which `share`, in (0, 1), of the law lies; by bisection."""
    low, high = 0.0, 4 * degrees + 100
    for _ in range(64):
        middle = (low + high) / 2
        if float(chi_square_share(torch.tensor(middle), degrees)) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
