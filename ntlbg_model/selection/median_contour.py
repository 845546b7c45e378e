"""The published NTLBG rule, kept as an ablation.

Frames whose Mahalanobis distance is nearest the median distance are the candidates, and a greedy
pass spreads them in time. In R dimensions the median contour is the typical set, so the rule
removes the rare frames that long-video questions ask about (docs/findings.md).
"""

import torch
from torch import Tensor

POOL = 2
"""Candidates per pick: the greedy pass chooses K of the 2 K pairs nearest the contour."""


def contour_scores(distances: Tensor) -> Tensor:
    """-|D - median D| [P]: highest on the median contour."""
    return -(distances - distances.median()).abs()


def median_contour(distances: Tensor, count: int) -> Tensor:
    """Pairs [count], ascending: the candidate nearest the median first, then each time the
    candidate farthest in time from all picks so far (the nearer to the contour where equal)."""
    pool = min(POOL * count, distances.numel())
    scores = contour_scores(distances)
    candidates = scores.sort(descending=True, stable=True).indices[:pool]
    gaps = (candidates - candidates[0]).abs()
    picks = [candidates[0]]
    for _ in range(count - 1):
        chosen = candidates[gaps.argmax()]
        picks.append(chosen)
        gaps = torch.minimum(gaps, (candidates - chosen).abs())
    return torch.stack(picks).sort().values
