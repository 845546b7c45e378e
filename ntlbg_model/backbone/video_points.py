"""The kept pairs of a video as points in time, and what is known of the candidates around them."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class CellContext:
    """What is known of all P candidate pairs of a video. Plain tensors of any selection."""

    features: Tensor
    """[P, f], as cheap as pixel statistics."""
    scores: Tensor
    """[P]; gradient may flow into them."""
    cells: Tensor
    """[P], the point (0 .. k - 1) to whose cell each pair belongs."""
    inclusion: Tensor
    """[P], probability of being kept."""
    distances: Tensor
    """[P], Mahalanobis distance in the video's Gaussian."""

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        return type(self)(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class VideoPoints:
    """The k kept pairs of one video."""

    pairs: Tensor
    """[k], index of each kept pair among the candidates, ascending."""
    times: Tensor
    """[k], seconds."""
    context: CellContext | None = None
    """None where no option asks for it."""

    def to(self, device: torch.device | str) -> Self:
        """The same on `device`."""
        return type(self)(
            pairs=self.pairs.to(device),
            times=self.times.to(device),
            context=None if self.context is None else self.context.to(device),
        )
