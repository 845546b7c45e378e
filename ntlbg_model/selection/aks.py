"""AKS, adaptive keyframe sampling (Tang et al., CVPR 2025, arXiv 2502.21271).

A span of the video is kept whole, and its best frames taken, where they stand out by enough from
the span's mean; otherwise it is halved, and so is its budget. Threshold and depth are those of the
authors' code, and so is the rule without its second threshold, which their default switches off.
Published, the budget of a half is rounded down, so that fewer than K frames may come out; here
the later half takes the odd pair, and K always come out.
"""

import torch
from torch import Tensor

from ntlbg_model.selection.bolt import normalised

THRESHOLD = 0.8
"""Least lead of the best pairs' mean over the span's mean, of similarities in 0 .. 1."""
DEPTH = 5
"""Most halvings: at most 32 spans."""


def aks(similarity: Tensor, count: int) -> Tensor:
    """Pairs [count], ascending, distinct, by `similarity` [P].

    At most 63 spans are looked at, each with one top-K of its slice: O(P log P).
    """
    scores = normalised(similarity).float().cpu()
    sums = torch.cat((torch.zeros(1, dtype=torch.float64), scores.double().cumsum(0))).tolist()
    chosen: list[Tensor] = []
    spans = [(0, scores.numel(), count, 0)]
    while spans:
        start, stop, budget, depth = spans.pop()
        best = scores[start:stop].topk(budget, sorted=False)
        lead = float(best.values.mean()) - (sums[stop] - sums[start]) / (stop - start)
        if lead > THRESHOLD or depth == DEPTH or budget == 1:
            chosen.append(best.indices + start)
            continue
        middle, half = (start + stop) // 2, budget // 2
        spans.append((start, middle, half, depth + 1))
        spans.append((middle, stop, budget - half, depth + 1))
    return torch.cat(chosen).sort().values.to(similarity.device)
