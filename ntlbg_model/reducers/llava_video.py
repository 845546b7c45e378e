"""LLaVA-Video (arXiv:2410.02713): average pooling with stride 2 and a newline token per row.

Departures: the grid is Qwen2-VL's and its slices are frame pairs; pooling comes behind the
projection, as there; no sentence about the sampled times, since M-RoPE holds the true ones.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.geometry.visual_tokens import halved
from ntlbg_model.reducers.reducer import Reducer


class PooledRows(Reducer):
    """Each 2 x 2 block averaged; every row ends with one learned newline token."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.newline = nn.Parameter(torch.randn(hidden) * hidden**-0.5)

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Places in the pooled grid, with the newline as one more column."""
        return grid_positions(pairs, halved(grid[0]), halved(grid[1]) + 1)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [k h' (w' + 1), d] with halved sides."""
        _, height, width, _ = features.shape
        window = (min(2, height), min(2, width))
        pooled = functional.avg_pool2d(features.permute(0, 3, 1, 2), window).permute(0, 2, 3, 1)
        ends = self.newline.to(pooled.dtype).expand(*pooled.shape[:2], 1, -1)
        return torch.cat((pooled, ends), dim=2).flatten(0, 2)
