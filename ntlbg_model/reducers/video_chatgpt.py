"""Video-ChatGPT (arXiv:2306.05424): means over space, then means over time.

Departures: behind the backbone's projection instead of before a linear one; frame pairs instead
of frames; as many temporal tokens as pairs, where the published code pads to 100.
"""

import torch
from torch import Tensor

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.reducers.reducer import Reducer, pooled_times


class SpaceAndTimeMeans(Reducer):
    """One token a pair, then one a place. No parameters: runs zero-shot."""

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Pairs at their own times, at place (0, 0); places at the mean time."""
        middle = pooled_times(pairs, [(0, pairs.numel())])
        return torch.cat((grid_positions(pairs, 1, 1), grid_positions(middle, *grid)), dim=1)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [k + h w, d]."""
        return torch.cat((features.mean(dim=(1, 2)), features.mean(dim=0).flatten(0, 1)))
