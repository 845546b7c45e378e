"""The kept pairs of a video as points in time, each with its cell of the candidates around it."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ntlbg_model.config import PAIR


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


def voronoi_cells(pairs: Tensor, candidates: int) -> Tensor:
    """Cells [candidates] in time of `pairs` [k], ascending: each candidate belongs to the nearest
    kept pair, the earlier of two equally near."""
    middles = (pairs[1:] + pairs[:-1]).float() / 2
    return torch.bucketize(torch.arange(candidates, device=pairs.device).float(), middles)


def members(points: VideoPoints, context: CellContext, window: int) -> tuple[Tensor, Tensor]:
    """(point [E], candidate [E]): which candidate pairs are pooled into which point.

    `window` 0: those of the point's cell. Otherwise those within `window` frames around it, the
    point's own pair at least, wherever the cells end.
    """
    candidates = context.cells.numel()
    if window == 0:
        return context.cells, torch.arange(candidates, device=context.cells.device)
    reach = window // (2 * PAIR)
    steps = torch.arange(-reach, reach + 1, device=points.pairs.device)
    found = points.pairs[:, None] + steps
    inside = (found >= 0) & (found < candidates)
    owners = torch.arange(points.pairs.numel(), device=found.device)[:, None].expand_as(found)
    return owners[inside], found[inside]


def attention_pool(features: Tensor, scores: Tensor, owners: Tensor, count: int) -> Tensor:
    """Means [count, f] of `features` [E, f] by a softmax of `scores` [E] within each owner [E].

    Every member gets gradient through its score. An owner without members has zeros.
    """
    highest = scores.detach().new_full((count,), -torch.inf)
    highest = highest.scatter_reduce(0, owners, scores.detach(), "amax")
    mass = (scores - highest[owners]).exp()
    total = mass.new_zeros(count).index_add(0, owners, mass)
    weights = mass / total[owners]
    return features.new_zeros(count, features.shape[1]).index_add(
        0, owners, weights[:, None] * features
    )
