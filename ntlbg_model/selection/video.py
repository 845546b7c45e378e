"""The frame pairs kept of each video, chosen once."""

import hashlib

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import PAIR, SelectionConfig, VideoConfig
from ntlbg_model.selection.scoring import FrameScorer
from ntlbg_model.selection.select import needs_features, needs_similarity, select_pairs


class VideoSelector:
    """Chooses pairs by (video, options, seed), and by the question where the method asks for it,
    and remembers the choice."""

    def __init__(
        self,
        video: VideoConfig,
        selection: SelectionConfig,
        seed: int,
        backbone: Backbone | None = None,
    ) -> None:
        """Raises EncoderError where the selection asks for an encoder that cannot be loaded, and
        ValueError where it looks through the backbone and there is none."""
        self._video = video
        self._selection = selection
        self._seed = seed
        self._scorer = FrameScorer(selection, backbone)
        self._chosen: dict[tuple[str, str], Tensor] = {}

    def pairs(self, video_id: str, pixels: Tensor, question: str = "") -> Tensor:
        """Kept pairs [k], ascending, of the candidate frames `pixels` uint8 [n, h, w, 3].

        `question` is its text, without options. Raises ValueError where there are fewer than two
        frames.
        """
        key = (video_id, question if needs_similarity(self._selection) else "")
        if key not in self._chosen:
            self._chosen[key] = self._choose(*key, pixels)
        return self._chosen[key]

    def _choose(self, video_id: str, question: str, pixels: Tensor) -> Tensor:
        frames = pixels.shape[0]
        if frames < PAIR:
            raise ValueError(f"a video needs at least {PAIR} frames, got {frames}")
        candidates = frames // PAIR
        count = self._video.representatives(frames) // PAIR
        features, similarity = torch.zeros(candidates, 1), None
        if count < candidates and needs_features(self._selection):
            features = self._scorer.features(video_id, pixels)
        if count < candidates and needs_similarity(self._selection):
            similarity = self._scorer.similarity(video_id, pixels, question)
            features = features.to(similarity.device)
        seed = video_seed(self._seed, f"{video_id}:{question}" if question else video_id)
        chosen = select_pairs(features, count, self._selection, seed, similarity)
        return chosen.pairs.cpu()


def video_seed(seed: int, video_id: str) -> int:
    """A 63-bit seed for one video of a run, the same on every machine."""
    digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
