"""Rich points: a kept pair's tokens with its coarser scales and the context of its time cell.

Everything is added through projections that start at zero, so the first step sees plain frames.
Near relatives: ViLaMP's keyframes with one merged token for each frame between (arXiv:2504.02438).
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.backbone.video_points import CellContext, VideoPoints
from ntlbg_model.config import RichPointsConfig
from ntlbg_model.geometry.connector_size import FACTS, TIME_WIDTH
from ntlbg_model.tokens.points import attention_pool, members
from ntlbg_model.tokens.time_encoding import time_encoding


class Residual(nn.Module):
    """Two linear layers around a GELU, the second zero at first."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.leave = nn.Linear(width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        added: Tensor = self.leave(functional.gelu(self.enter(x)))
        return added


class RichPoints(nn.Module):
    """x + W_s[half-size grid; mean] + W_c[ctx; log length; p; D; time] on each pair's tokens x.

    ctx is the softmax of the scores over the point's cell, applied to the candidates' features.
    """

    def __init__(self, hidden: int, context_width: int, config: RichPointsConfig) -> None:
        super().__init__()
        self._window = config.context_window_size
        self.norm = nn.LayerNorm(context_width)
        self.context = Residual(context_width + FACTS + TIME_WIDTH, config.feature_dim, hidden)
        self.scales: Residual | None = None
        if config.multi_scale == "added":
            self.scales = Residual(2 * hidden, config.feature_dim, hidden)

    def forward(self, features: Tensor, points: VideoPoints, context: CellContext) -> Tensor:
        """The same shape as `features` [k, h, w, d]."""
        added: Tensor = self.context(self._context(points, context))[:, None, None, :]
        if self.scales is not None:
            added = added + self.scales(coarser(features))
        return features + added

    def _context(self, points: VideoPoints, context: CellContext) -> Tensor:
        """[k, f + 3 + time]"""
        owners, found = members(points, context, self._window)
        count = points.pairs.numel()
        pooled = attention_pool(
            context.features[found].float(), context.scores[found].float(), owners, count
        )
        members_of = owners.new_zeros(count).index_add(0, owners, torch.ones_like(owners))
        lengths = members_of.clamp(min=1).log()
        probability = context.inclusion[points.pairs].float()
        distance = context.distances[points.pairs].float().log1p()
        facts = torch.stack((lengths, probability, distance), dim=1)
        return torch.cat((self.norm(pooled), facts, time_encoding(points.times)), dim=1)


def half_size(features: Tensor) -> Tensor:
    """[k, h', w', d]: `features` [k, h, w, d] averaged over blocks of 2 x 2, odd rests dropped."""
    _, height, width, _ = features.shape
    window = (min(2, height), min(2, width))
    return functional.avg_pool2d(features.permute(0, 3, 1, 2), window).permute(0, 2, 3, 1)


def coarser(features: Tensor) -> Tensor:
    """[k, h, w, 2 d]: for each token of [k, h, w, d] its block in the half-size grid, the mean."""
    _, height, width, _ = features.shape
    half = half_size(features).permute(0, 3, 1, 2)
    near = functional.interpolate(half, (height, width), mode="nearest").permute(0, 2, 3, 1)
    return torch.cat((near, features.mean(dim=(1, 2), keepdim=True).expand_as(features)), dim=3)


def appended(features: Tensor) -> Tensor:
    """Tokens [k (h w + h' w' + 1), d]: each pair's grid, its half-size grid, its mean."""
    scales = (features, half_size(features), features.mean(dim=(1, 2), keepdim=True))
    return torch.cat([scale.flatten(1, 2) for scale in scales], dim=1).flatten(0, 1)
