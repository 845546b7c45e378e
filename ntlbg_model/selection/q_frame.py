"""Q-Frame's query-aware frame selection (Zhang et al., ICCV 2025, arXiv 2506.22139).

Softmax of the similarities at temperature 0.8, and K draws without replacement by the Gumbel
top-K trick. Published, similarities are inner products of unscaled Long-CLIP embeddings, the noise
is drawn anew at each call, and frames are kept at three resolutions by rank. Here similarities of
any scale are brought to one spread, the noise follows from the seed, and the kept pairs are of one
resolution, as for all methods.
"""

import torch
from torch import Tensor

TEMPERATURE = 0.8
"""Of the softmax, as published."""
SPREAD = 2.0
"""Standard deviation that similarities are brought to. Cosines of CLIP vary by some hundredths
within a video, and its embeddings have lengths near ten, so their products vary by about this."""


def q_frame(similarity: Tensor, count: int, seed: int) -> Tensor:
    """Distinct pairs [count], ascending, drawn by `similarity` [P]; the same for the same seed."""
    scores = similarity.double()
    deviation = scores.std(correction=0)
    logits = SPREAD * (scores - scores.mean()) / torch.where(deviation > 0, deviation, 1.0)
    uniform = torch.rand(
        scores.numel(), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    gumbel = -torch.log(-torch.log(uniform.clamp(min=torch.finfo(torch.float64).tiny)))
    perturbed = (logits / TEMPERATURE).log_softmax(0) + gumbel.to(scores.device)
    return perturbed.topk(count).indices.sort().values
