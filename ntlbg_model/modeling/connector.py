"""From the vision tower's merged grid to the language model's tokens."""

import torch
from torch import Tensor, nn

from ntlbg_model.backbone.video_points import VideoPoints
from ntlbg_model.config import ModelConfig
from ntlbg_model.geometry.visual_tokens import TokenLayout, layout_of
from ntlbg_model.reducers.build import build_reducer
from ntlbg_model.tokens.rich_points import RichPoints, appended
from ntlbg_model.tokens.temporal import TemporalEncoder


class Connector(nn.Module):
    """Rich points, then attention across points, then a token reducer; each may be absent."""

    def __init__(self, model: ModelConfig, hidden: int, context_width: int) -> None:
        super().__init__()
        self._appends = layout_of(model).appended_scales
        self.rich: RichPoints | None = None
        if model.rich_points.enabled:
            self.rich = RichPoints(hidden, context_width, model.rich_points)
        self.temporal: TemporalEncoder | None = None
        if model.temporal.layers > 0:
            self.temporal = TemporalEncoder(hidden, model.temporal)
        self.reducer = build_reducer(model, hidden)

    def forward(self, features: Tensor, points: VideoPoints) -> Tensor:
        """Tokens [m, d] of one video's `features` [k, h, w, d], in their dtype.

        m and the tokens' places are `TokenLayout.tokens` and `token_positions`. Raises ValueError
        where rich points are on and `points` has no context.
        """
        x = features.float()
        if self.rich is not None:
            if points.context is None:
                raise ValueError("rich points need the context of a video's candidate pairs")
            x = self.rich(x, points, points.context)
        if self.temporal is not None:
            x = x + self.temporal(x.mean(dim=(1, 2)), points.times)[:, None, None, :]
        tokens = appended(x) if self._appends else self.reducer(x, points.pairs)
        return tokens.to(features.dtype)


def build_connector(
    model: ModelConfig, hidden: int, context_width: int, seed: int
) -> Connector | None:
    """The connector of a model's options in float32, initialised from `seed`; None where the
    backbone's own tokens are the language model's.

    `hidden` is the language model's width, `context_width` that of the candidates' features.
    """
    plain = layout_of(model) == TokenLayout() and not model.rich_points.enabled
    if plain and model.temporal.layers == 0:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Connector(model, hidden, context_width)
