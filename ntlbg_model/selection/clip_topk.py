"""The pairs most similar to the question, wherever they are.

The plain use of CLIP (Radford et al., arXiv 2103.00020) for frame selection, which the others are
measured against. It departs from common practice in counting adjacent frame pairs, not frames.
"""

from torch import Tensor


def clip_topk(similarity: Tensor, count: int) -> Tensor:
    """The `count` pairs of highest `similarity` [P], ascending; the earliest where equal."""
    order = similarity.sort(descending=True, stable=True).indices
    return order[:count].sort().values
