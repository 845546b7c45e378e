"""VideoLLaMA (arXiv:2306.02858): a Q-Former over each frame, then one over the video.

Departures: both read the backbone's projected grid and are trained from scratch, where the paper
starts the first from BLIP-2; two layers each, 512 wide; frame pairs at their true times instead of
an embedding table of frame numbers; no audio.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.geometry.connector_size import ATTENTION_WIDTH, QFORMER_LAYERS, TIME_WIDTH, groups
from ntlbg_model.geometry.visual_tokens import QUERIES
from ntlbg_model.reducers.reducer import Reducer
from ntlbg_model.tokens.time_encoding import time_encoding


class QFormerLayer(nn.Module):
    """Queries attend to themselves, then to a memory (BLIP-2, arXiv:2301.12597)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        heads = groups(width)
        self.own = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """[b, q, width] and [b, n, width] to [b, q, width]."""
        x = self.norms[0](queries)
        queries = queries + self.own(x, x, x, need_weights=False)[0]
        x = self.norms[1](queries)
        queries = queries + self.cross(x, memory, memory, need_weights=False)[0]
        inner: Tensor = functional.gelu(self.widen(self.norms[2](queries)))
        queries = queries + self.narrow(inner)
        return queries


class QFormer(nn.Module):
    """32 learned queries over a memory."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(QUERIES, width) * 0.02)
        self.layers = nn.ModuleList(QFormerLayer(width) for _ in range(QFORMER_LAYERS))

    def forward(self, memory: Tensor) -> Tensor:
        """[b, n, width] to [b, 32, width]."""
        found = self.queries.expand(memory.shape[0], -1, -1)
        for layer in self.layers:
            found = layer(found, memory)
        return found


class TwoQFormers(Reducer):
    """32 tokens of a whole video. Trained."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        width = min(ATTENTION_WIDTH, hidden)
        self.down = nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.frame = QFormer(width)
        self.time = nn.Linear(TIME_WIDTH, width)
        self.video = QFormer(width)
        self.up = nn.Linear(width, hidden)

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Like text: the tokens belong to no time and no place."""
        return torch.arange(QUERIES, device=pairs.device).expand(3, -1)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [32, d]."""
        memory = self.norm(self.down(features.flatten(1, 2)))
        frames = self.frame(memory) + self.time(time_encoding(pairs.float()))[:, None]
        tokens: Tensor = self.up(self.video(frames.flatten(0, 1)[None])[0])
        return tokens
