"""The points of a video whose frames are not there."""

import torch

from ntlbg_model.backbone.video_points import CellContext, VideoPoints
from ntlbg_model.config import PAIR, Config
from ntlbg_model.geometry.connector_size import CONTEXT_WIDTH


def random_points(config: Config, pairs: int, device: str) -> VideoPoints:
    """`pairs` evenly spaced points, with the context of all candidates where an option asks."""
    candidates = config.video.candidates(config.video.max_frames) // PAIR
    kept = torch.linspace(0, candidates - 1, pairs).long()
    context = None
    if config.model.rich_points.enabled:
        cells = torch.arange(candidates) * pairs // candidates
        context = CellContext(
            features=torch.zeros(candidates, CONTEXT_WIDTH),
            scores=torch.zeros(candidates),
            cells=cells,
            inclusion=torch.zeros(candidates),
            distances=torch.zeros(candidates),
        )
    return VideoPoints(pairs=kept, times=kept.float(), context=context).to(device)
