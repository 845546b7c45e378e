"""What a check finds, and the laws it draws from."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Check:
    """One claim, measured."""

    claim: str
    """Which claim: V1 to V15, and a few words."""
    quantity: str
    """What the statistic is."""
    statistic: float
    low: float = -math.inf
    """Least value at which the claim holds."""
    high: float = math.inf
    """Largest value at which the claim holds."""
    meaning: str
    """What it says, in a sentence."""

    @property
    def passed(self) -> bool:
        """Whether the statistic is within its bounds; NaN is not."""
        return self.low <= self.statistic <= self.high

    @property
    def bound(self) -> str:
        """The bounds in words."""
        if math.isinf(self.low):
            return f"at most {self.high:.4g}"
        if math.isinf(self.high):
            return f"at least {self.low:.4g}"
        return f"{self.low:.4g} to {self.high:.4g}"


def generator(seed: int, stream: int) -> torch.Generator:
    """Random numbers of one check, independent of the other checks'."""
    return torch.Generator().manual_seed(1000 * seed + stream)


def normal(source: torch.Generator, *shape: int) -> Tensor:
    """Standard normal draws, float32."""
    return torch.randn(*shape, generator=source)


def even(samples: Tensor) -> Tensor:
    """Equal weights [P] of samples [P, s]."""
    return samples.new_ones(samples.shape[0])
