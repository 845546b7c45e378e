"""Video-LLaMA2's spatial-temporal convolution connector (arXiv:2406.07476, section 3.1).

Convolution blocks on each frame, a 3-D convolution with kernel and stride 2, convolution blocks
again, a two-layer MLP. Departures: it reads the backbone's projected grid (there, CLIP's features)
and works at most 1024 wide, CLIP-L's width; the blocks are RegNet bottlenecks (arXiv:2003.13678)
without squeeze-and-excitation; frame pairs instead of frames.
"""

import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.geometry.connector_size import CONVOLUTION_BLOCKS, CONVOLUTION_WIDTH, groups
from ntlbg_model.geometry.visual_tokens import STC_PADDING, convolved
from ntlbg_model.reducers.reducer import Reducer, pooled_times


class RegNetBlock(nn.Module):
    """1 x 1, grouped 3 x 3 and 1 x 1 convolutions around a shortcut, each normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, width)
        self.spatial = nn.Conv2d(width, width, 3, padding=1, groups=groups(width))
        self.leave = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """[k, h, w, width] to the same shape."""
        y = functional.silu(self.norms[0](self.enter(x)))
        y = self.spatial(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = functional.silu(self.norms[1](y))
        return functional.silu(x + self.norms[2](self.leave(y)))


class SpatialTemporalConvolution(Reducer):
    """Half of every side, plus the padding's border. Trained."""

    def __init__(self, hidden: int, padding: int = STC_PADDING) -> None:
        super().__init__()
        width = min(CONVOLUTION_WIDTH, hidden)
        self.enter = nn.Linear(hidden, width)
        self.before = nn.Sequential(*(RegNetBlock(width) for _ in range(CONVOLUTION_BLOCKS)))
        self.sample = nn.Conv3d(width, width, 2, stride=2, padding=padding)
        self.after = nn.Sequential(*(RegNetBlock(width) for _ in range(CONVOLUTION_BLOCKS)))
        self.readout = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Mean time of the pairs under each step of the convolution; places in its output."""
        count, padding = pairs.numel(), STC_PADDING
        starts = [2 * i - padding for i in range(convolved(count, padding))]
        times = pooled_times(pairs, [(max(0, s), min(count, s + 2)) for s in starts])
        return grid_positions(times, *(convolved(side, padding) for side in grid))

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [t' h' w', d]."""
        x = self.before(self.enter(features))
        x = functional.silu(self.sample(x.permute(3, 0, 1, 2)[None])[0].permute(1, 2, 3, 0))
        tokens: Tensor = self.readout(self.after(x)).flatten(0, 2)
        return tokens
