"""Qwen2-VL itself (arXiv:2409.12191): the merged grid as it is."""

from torch import Tensor

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.reducers.reducer import Reducer


class IdentityReducer(Reducer):
    """Every token of every pair, row by row. No parameters."""

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Temporal id: the pair; height and width: the place in the grid."""
        return grid_positions(pairs, *grid)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [k h w, d]."""
        return features.flatten(0, 2)
