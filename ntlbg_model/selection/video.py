"""The frame pairs kept of each video, chosen once."""

import hashlib

import torch
from torch import Tensor

from ntlbg_model.config import PAIR, SelectionConfig, VideoConfig
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.select import needs_features, select_pairs


class VideoSelector:
    """Chooses pairs by (video, options, seed) and remembers the choice."""

    def __init__(self, video: VideoConfig, selection: SelectionConfig, seed: int) -> None:
        self._video = video
        self._selection = selection
        self._seed = seed
        self._chosen: dict[str, Tensor] = {}

    def pairs(self, video_id: str, pixels: Tensor) -> Tensor:
        """Kept pairs [k], ascending, of the candidate frames `pixels` uint8 [n, h, w, 3].

        Raises ValueError where there are fewer than two frames.
        """
        if video_id not in self._chosen:
            self._chosen[video_id] = self._choose(video_id, pixels)
        return self._chosen[video_id]

    def _choose(self, video_id: str, pixels: Tensor) -> Tensor:
        frames = pixels.shape[0]
        if frames < PAIR:
            raise ValueError(f"a video needs at least {PAIR} frames, got {frames}")
        candidates = frames // PAIR
        looks = needs_features(self._selection)
        features = pair_features(pixels) if looks else torch.zeros(candidates, 1)
        count = self._video.representatives(frames) // PAIR
        seed = video_seed(self._seed, video_id)
        return select_pairs(features, count, self._selection, seed).pairs


def video_seed(seed: int, video_id: str) -> int:
    """A 63-bit seed for one video of a run, the same on every machine."""
    digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
