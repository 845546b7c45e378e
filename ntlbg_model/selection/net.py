"""Number-theoretic nets: deterministic points that fill the unit cube evenly, and their maps.

K. T. Fang and Y. Wang, "Number-theoretic Methods in Statistics", Chapman & Hall, 1994: a
low-discrepancy set is carried to a law by the inverse of its distribution function and serves as
the start for representative points.
"""

import torch
from torch import Tensor


def number_theoretic_net(points: int, dimensions: int) -> Tensor:
    """A net [points, dimensions] in the open unit cube, float64, the same on every machine.

    The first coordinate is (k - 1/2) / K, the one-dimensional net of least discrepancy. The others
    are the Kronecker sequence of the powers of the generalised golden ratio, the positive root of
    x^(s + 1) = x + 1: irrational numbers that are hard to approximate by fractions.
    """
    order = torch.arange(1, points + 1, dtype=torch.float64)
    first = ((order - 0.5) / points).unsqueeze(1)
    steps = _golden_ratio(dimensions - 1) ** -torch.arange(1.0, dimensions, dtype=torch.float64)
    rest = (0.5 + order.unsqueeze(1) * steps).frac()
    return torch.cat((first, rest), dim=1)


def through_quantiles(net: Tensor, samples: Tensor, weights: Tensor) -> Tensor:
    """The net [K, s] carried to the marginal laws of `samples` [P, s] with `weights` [P].

    Coordinate by coordinate: the least sample whose share of the weight reaches the net's value.
    """
    columns = []
    for values, levels in zip(samples.unbind(1), net.to(samples.device).unbind(1), strict=True):
        ordered, order = values.sort(stable=True)
        share = weights[order].double().cumsum(0)
        place = torch.searchsorted(share / share[-1], levels.contiguous())
        columns.append(ordered[place.clamp(max=values.numel() - 1)])
    return torch.stack(columns, dim=1)


def through_normal(net: Tensor) -> Tensor:
    """The net [K, s] carried to the standard normal law."""
    points: Tensor = torch.special.ndtri(net)
    return points


def _golden_ratio(dimensions: int) -> float:
    """The positive root of x^(s + 1) = x + 1, by fixed-point iteration (a contraction)."""
    root = 1.5
    for _ in range(64):
        root = (1 + root) ** (1 / (dimensions + 1))
    return root
