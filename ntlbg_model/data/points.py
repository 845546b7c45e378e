"""Points of a video and the statistics of its candidates, computed once a video."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ntlbg_model.config import PAIR, Config
from ntlbg_model.points import CellContext, VideoPoints, voronoi_cells
from ntlbg_model.selection import gaussian
from ntlbg_model.selection.features import CELLS, pair_features

CONTEXT_WIDTH = 4 * CELLS**2
"""Width of the candidates' pixel features."""


class PointReader:
    """Points with the context that the options ask for, remembered by video."""

    def __init__(self, config: Config) -> None:
        self._wanted = config.model.rich_points.enabled
        self._rank = config.selection.rank
        self._contexts: dict[str, CellContext] = {}

    def points(
        self, video_id: str, pixels: Tensor, pairs: Tensor, times: npt.NDArray[np.float64]
    ) -> VideoPoints:
        """Of the kept `pairs` [k] of candidate frames `pixels` [n, h, w, 3] at `times` [n]."""
        seconds = torch.from_numpy(times[: len(times) // PAIR * PAIR : PAIR].copy()).float()
        context = None
        if self._wanted:
            if video_id not in self._contexts:
                self._contexts[video_id] = cell_context(pixels, pairs, self._rank)
            context = _around(self._contexts[video_id], pairs)
        return VideoPoints(pairs=pairs, times=seconds[pairs], context=context)


def _around(context: CellContext, pairs: Tensor) -> CellContext:
    """The same candidates with the cells of other kept pairs."""
    candidates = len(context.features)
    return replace(
        context,
        cells=voronoi_cells(pairs, candidates),
        inclusion=torch.full((candidates,), pairs.numel() / candidates),
    )


def cell_context(pixels: Tensor, pairs: Tensor, rank: int) -> CellContext:
    """The context of `pairs` [k] of `pixels` uint8 [n, h, w, 3], whatever method chose them.

    Cells are Voronoi cells in time, inclusion probabilities are equal, scores are the distances
    in the video's Gaussian in units of their deviation: unusual pairs weigh more.
    """
    features = pair_features(pixels)
    candidates = len(features)
    distances = gaussian.fit(features, rank).squared_distances(features).sqrt()
    deviation = distances.std(correction=0).clamp(min=1e-6)
    return CellContext(
        features=features,
        scores=(distances - distances.mean()) / deviation,
        cells=voronoi_cells(pairs, candidates),
        inclusion=torch.full((candidates,), pairs.numel() / candidates),
        distances=distances,
    )
