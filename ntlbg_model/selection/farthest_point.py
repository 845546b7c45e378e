"""Farthest-point sampling (Gonzalez 1985; Eldar et al. 1997): each pair as far as possible from
those already kept.

The usual start is arbitrary; here it is the pair farthest from the mean, so that the selection
depends on nothing but the features.
"""

import torch
from torch import Tensor


def farthest_point(features: Tensor, count: int) -> Tensor:
    """Pairs [count], ascending, distinct, of `features` [P, d] by Euclidean distance.

    One product of the features with a row a pick: O(P d K).
    """
    rows, norms = centred(features)
    pick = norms.argmax().view(1)
    picks, gaps = [pick], torch.full_like(norms, torch.inf)
    for _ in range(count - 1):
        gaps = torch.minimum(gaps, squared_distances(rows, norms, pick)).index_fill(0, pick, -1.0)
        pick = gaps.argmax().view(1)
        picks.append(pick)
    return torch.cat(picks).sort().values


def centred(features: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [P, d] about their mean in float32, and their squared norms [P]."""
    rows = features.float() - features.float().mean(dim=0)
    return rows, rows.square().sum(dim=1)


def squared_distances(rows: Tensor, norms: Tensor, place: Tensor) -> Tensor:
    """Squared distances [P] of all rows to the one at `place` [1]; never below zero."""
    row = rows.index_select(0, place)[0]
    return (norms + norms.index_select(0, place) - 2 * (rows @ row)).clamp(min=0)
