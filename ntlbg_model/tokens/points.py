"""Cells of the candidates around the kept pairs of a video, and pooling within them."""

import torch
from torch import Tensor

from ntlbg_model.backbone.video_points import CellContext, VideoPoints
from ntlbg_model.config import PAIR


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
