"""Goodness of fit to a law that is known in full."""

import math

import torch
from torch import Tensor

ANDERSON_DARLING_ONE_PERCENT = 3.857
"""Upper 1 % point of the statistic (Stephens, Journal of the American Statistical Association
69, 1974, case 0)."""


def kolmogorov_smirnov(shares: Tensor) -> tuple[float, float]:
    """Distance of `shares` [n] (values of the law's distribution function) from uniform, and its
    p-value by Kolmogorov's series with Stephens' correction for finite n."""
    ordered = shares.double().sort().values
    n = ordered.numel()
    steps = torch.arange(n, dtype=torch.float64)
    distance = float(torch.maximum((steps + 1) / n - ordered, ordered - steps / n).max())
    scaled = (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n)) * distance
    if scaled < 0.2:
        return distance, 1.0
    terms = [(-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)]
    return distance, min(1.0, max(0.0, 2 * sum(terms)))


def anderson_darling(shares: Tensor) -> float:
    """The statistic A^2 of `shares` [n]; weighs the tails, where Kolmogorov's does not look."""
    ordered = shares.double().clamp(1e-300, 1 - 1e-16).sort().values
    n = ordered.numel()
    odd = 2 * torch.arange(n, dtype=torch.float64) + 1
    return -n - float((odd * (ordered.log() + (1 - ordered.flip(0)).log())).sum()) / n
