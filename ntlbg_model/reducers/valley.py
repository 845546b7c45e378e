"""Valley (arXiv:2306.07207): one token a place, pooled over time, and one token a frame.

Departures: the backbone has no class token, so a pair's token is its grid pooled by attention with
the grid's own mean as the query; the pooling stands behind the projection; pairs instead of frames.
"""

import torch
from torch import Tensor, nn

from ntlbg_model.backbone.positions import grid_positions
from ntlbg_model.config import ValleyPooling
from ntlbg_model.geometry.connector_size import ATTENTION_WIDTH, TIME_WIDTH, groups
from ntlbg_model.reducers.reducer import Reducer, pooled_times
from ntlbg_model.tokens.time_encoding import time_encoding


class Valley(Reducer):
    """The paper's v1 'mean' (no parameters, zero-shot), v2 'weighted', v3 'transformer'."""

    def __init__(self, hidden: int, pooling: ValleyPooling) -> None:
        super().__init__()
        self.importance = nn.Linear(hidden, 1) if pooling == "weighted" else None
        if self.importance is not None:
            nn.init.zeros_(self.importance.weight)
        self.layer: nn.TransformerEncoderLayer | None = None
        if pooling == "transformer":
            width = min(ATTENTION_WIDTH, hidden)
            self.down = nn.Linear(hidden + TIME_WIDTH, width)
            self.layer = nn.TransformerEncoderLayer(
                width, groups(width), 4 * width, 0.0, batch_first=True, norm_first=True
            )
            self.up = nn.Linear(width, hidden)
            nn.init.zeros_(self.up.weight)
            nn.init.zeros_(self.up.bias)

    @staticmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """Places at the mean time, then pairs at their own times, at place (0, 0)."""
        middle = pooled_times(pairs, [(0, pairs.numel())])
        return torch.cat((grid_positions(middle, *grid), grid_positions(pairs, 1, 1)), dim=1)

    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """[k, h, w, d] to [h w + k, d]."""
        places = features.flatten(1, 2)
        return torch.cat((self._over_time(places, pairs), _attended(places)))

    def _over_time(self, places: Tensor, pairs: Tensor) -> Tensor:
        """Tokens [h w, d] of `places` [k, h w, d]."""
        if self.importance is not None:
            weights = self.importance(places.mean(dim=1)).softmax(dim=0)
            weighted: Tensor = (weights[:, :, None] * places).sum(dim=0)
            return weighted
        mean: Tensor = places.mean(dim=0)
        if self.layer is None:
            return mean
        times = time_encoding(pairs.float()).expand(places.shape[1], -1, -1)
        series = self.down(torch.cat((places.transpose(0, 1), times), dim=2))
        result: Tensor = mean + self.up(self.layer(series)[:, -1])
        return result


def _attended(places: Tensor) -> Tensor:
    """Tokens [k, d]: each pair's places weighted by their likeness to its mean."""
    query = places.mean(dim=1, keepdim=True)
    scores: Tensor = (query * places).sum(dim=2) * places.shape[2] ** -0.5
    return (scores.softmax(dim=1)[:, :, None] * places).sum(dim=1)
