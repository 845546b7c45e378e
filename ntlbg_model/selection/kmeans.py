"""k-means with the k-means++ start (Arthur and Vassilvitskii 2007): the pair nearest to each of K
cluster centres.

Used for keyframes in VideoTree (arXiv 2405.19209) and others. Here ten Lloyd iterations, and where
clusters are empty, the pairs that the centres represent worst, so that K distinct pairs come out.
"""

import torch
from torch import Tensor

from ntlbg_model.selection.farthest_point import centred, squared_distances

ITERATIONS = 10
"""Lloyd iterations."""


def kmeans(features: Tensor, count: int, seed: int) -> Tensor:
    """Pairs [count], ascending, distinct: medoids of `features` [P, d]; the same for a seed."""
    rows, norms = centred(features)
    centres = rows.index_select(0, _spread_start(rows, norms, count, seed))
    for _ in range(ITERATIONS):
        nearest, _ = _assign(rows, norms, centres)
        sizes = torch.bincount(nearest, minlength=count)
        sums = _sums(rows, nearest, count)
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], centres)
    nearest, distances = _assign(rows, norms, centres)
    return _medoids(nearest, distances, count)


def _spread_start(rows: Tensor, norms: Tensor, count: int, seed: int) -> Tensor:
    """k-means++: pairs [count], each drawn in proportion to its squared distance to the others."""
    draws = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    last = rows.shape[0] - 1
    draws = draws.to(rows.device)
    place = (draws[:1] * rows.shape[0]).long()
    places, gaps = [place], squared_distances(rows, norms, place)
    for draw in draws[1:]:
        cumulative = gaps.double().cumsum(0)
        place = torch.searchsorted(cumulative, (draw * cumulative[-1]).view(1), right=True)
        place = place.clamp(max=last)
        places.append(place)
        gaps = torch.minimum(gaps, squared_distances(rows, norms, place))
    return torch.cat(places)


def _sums(rows: Tensor, nearest: Tensor, count: int) -> Tensor:
    """Sum [count, d] of the rows of each cluster."""
    if rows.is_cuda:  # where index_add_ adds in no fixed order
        members = torch.nn.functional.one_hot(nearest, count).to(rows.dtype)
        return members.T @ rows
    return rows.new_zeros(count, rows.shape[1]).index_add_(0, nearest, rows)


def _assign(rows: Tensor, norms: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Number [P] of the nearest centre, and the squared distance [P] to it."""
    partial = torch.addmm(centres.square().sum(dim=1), rows, centres.T, alpha=-2)
    least, nearest = partial.min(dim=1)
    return nearest, (least + norms).clamp(min=0)


def _medoids(nearest: Tensor, distances: Tensor, count: int) -> Tensor:
    """The pair nearest to each centre; for empty clusters, the pairs farthest from theirs."""
    pairs = distances.numel()
    order = torch.arange(pairs, device=distances.device)
    best = distances.new_full((count,), torch.inf).scatter_reduce(0, nearest, distances, "amin")
    candidates = torch.where(distances == best[nearest], order, pairs)
    first = torch.full((count,), pairs, device=distances.device)
    first = first.scatter_reduce(0, nearest, candidates, "amin")
    preference = distances.double()
    medoids = torch.zeros(pairs + 1, dtype=torch.bool, device=distances.device)
    medoids[first] = True
    preference[medoids[:pairs]] = torch.inf
    return preference.topk(count).indices.sort().values
