"""PLLaVA (arXiv:2404.16994): adaptive average pooling to 16 x 12 x 12 behind the projection.

Departures: frame pairs instead of frames; a side that is already smaller keeps its size, where the
published pooling would repeat tokens; the adapters' scale at test is what it was in training.
"""

import torch.nn.functional as functional
from torch import Tensor

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.geometry.visual_tokens import POOLED
from ntlbg_model.reducers.reducer import Reducer, pooled_times


class AdaptivePooling(Reducer):
    """The grid averaged to at most 16 x 12 x 12. No parameters: runs zero-shot."""

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mean time of each temporal bin; places in the pooled grid."""
        count, (time, rows, columns) = pairs.numel(), POOLED
        bins = min(count, time)
        bounds = [(i * count // bins, -(-(i + 1) * count // bins)) for i in range(bins)]
        times = pooled_times(pairs, bounds)
        return grid_positions(times, min(grid[0], rows), min(grid[1], columns))

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [min(k, 16) min(h, 12) min(w, 12), d]."""
        count, height, width, _ = features.shape
        size = (min(count, POOLED[0]), min(height, POOLED[1]), min(width, POOLED[2]))
        pooled = functional.adaptive_avg_pool3d(features.permute(3, 0, 1, 2), size)
        return pooled.permute(1, 2, 3, 0).flatten(0, 2)
