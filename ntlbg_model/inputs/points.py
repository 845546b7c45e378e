"""Points of a video and the statistics of its candidates, computed once a video."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ntlbg_model.backbone.video_points import CellContext, VideoPoints
from ntlbg_model.config import PAIR, Config
from ntlbg_model.selection import gaussian
from ntlbg_model.selection.features import pair_features
from ntlbg_model.tokens.points import voronoi_cells


class PointReader:
    """Points with the context that the options ask for; a video's statistics are remembered, its
    cells are not, since the kept pairs may depend on the question."""

    def __init__(self, config: Config) -> None:
        self._wanted = config.model.rich_points.enabled
        self._rank = config.selection.rank
        self._statistics: dict[str, tuple[Tensor, Tensor]] = {}

    def points(
        self, video_id: str, pixels: Tensor, pairs: Tensor, times: npt.NDArray[np.float64]
    ) -> VideoPoints:
        """Of the kept `pairs` [k] of candidate frames `pixels` [n, h, w, 3] at `times` [n]."""
        seconds = torch.from_numpy(times[: len(times) // PAIR * PAIR : PAIR].copy()).float()
        context = None
        if self._wanted:
            if video_id not in self._statistics:
                self._statistics[video_id] = candidate_statistics(pixels, self._rank)
            context = cell_context(*self._statistics[video_id], pairs)
        return VideoPoints(pairs=pairs, times=seconds[pairs], context=context)


def candidate_statistics(pixels: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Features [P, f] of the candidate pairs of `pixels` uint8 [n, h, w, 3], and their Mahalanobis
    distances [P] in the video's Gaussian of `rank` directions."""
    features = pair_features(pixels)
    return features, gaussian.fit(features, rank).squared_distances(features).sqrt()


def cell_context(features: Tensor, distances: Tensor, pairs: Tensor) -> CellContext:
    """The context of kept `pairs` [k], whatever method chose them, of candidates with `features`
    [P, f] and `distances` [P].

    Cells are Voronoi cells in time, inclusion probabilities are equal, scores are the distances
    in units of their deviation: unusual pairs weigh more.
    """
    candidates = len(features)
    deviation = distances.std(correction=0).clamp(min=1e-6)
    return CellContext(
        features=features,
        scores=(distances - distances.mean()) / deviation,
        cells=voronoi_cells(pairs, candidates),
        inclusion=torch.full((candidates,), pairs.numel() / candidates),
        distances=distances,
    )
