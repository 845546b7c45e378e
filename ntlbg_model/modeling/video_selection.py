"""The frame pairs kept of each video, chosen once."""

import hashlib

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import PAIR, SelectionConfig, VideoConfig
from ntlbg_model.learning.joint import draw
from ntlbg_model.modeling.model import NTLBGModel
from ntlbg_model.selection.index import VideoIndex
from ntlbg_model.selection.scoring import FrameScorer
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.selection.selector import NTLBGSelector

MOST_VIDEOS = 64
"""Videos that a learned choice remembers."""


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
        ValueError where it looks through the backbone, or is learned, and there is none."""
        self._video = video
        self._selection = selection
        self._seed = seed
        self._scorer = FrameScorer(selection, backbone)
        self._learned = LearnedChoice(backbone) if selection.query == "learned" else None
        self._chosen: dict[tuple[str, str], Tensor] = {}

    def pairs(self, video_id: str, pixels: Tensor, question: str = "") -> Tensor:
        """Kept pairs [k], ascending, of the candidate frames `pixels` uint8 [n, h, w, 3].

        `question` is its text, without options. Raises ValueError where there are fewer than two
        frames.
        """
        asks = self._learned is not None or self._selection.compares_with_question
        key = (video_id, question if asks else "")
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
        if count < candidates and self._selection.compares_frames:
            features = self._scorer.features(video_id, pixels)
        if count < candidates and self._selection.compares_with_question:
            similarity = self._scorer.similarity(video_id, pixels, question)
            features = features.to(similarity.device)
        if count < candidates and self._learned is not None:
            return self._learned.choose(video_id, features, question, count)[0]
        seed = video_seed(self._seed, f"{video_id}:{question}" if question else video_id)
        chosen = select_pairs(features, count, self._selection, seed, similarity)
        return chosen.pairs.cpu()


class LearnedChoice:
    """The picks of a trained selector, without chance. What it keeps of a video, a few numbers a
    pair, serves the next question."""

    def __init__(self, backbone: Backbone | None) -> None:
        model = None if backbone is None else backbone.model
        if (
            backbone is None
            or not isinstance(model, NTLBGModel)
            or not isinstance(model.selector, NTLBGSelector)
        ):
            raise ValueError("the selection is learned, and the backbone has no selector")
        self._backbone = backbone
        self._selector = model.selector
        self._indices: dict[str, VideoIndex] = {}

    @torch.no_grad()
    def choose(
        self, video_id: str, features: Tensor, question: str, count: int
    ) -> tuple[Tensor, Tensor]:
        """Pairs [count], ascending, of a video with `features` [P, d], and all scores [P]."""
        device = self._backbone.device
        if video_id not in self._indices:
            if len(self._indices) == MOST_VIDEOS:
                del self._indices[next(iter(self._indices))]
            self._indices[video_id] = self._selector.prepare(features.to(device).unsqueeze(0))
        words = self._backbone.base.get_input_embeddings()
        text = question_words(self._backbone, question)
        counts = torch.tensor([count], device=device)
        drawn = draw(self._selector, words, self._indices[video_id], [text], counts)
        return drawn.chosen.pairs[0].cpu(), drawn.scored.scores[0].cpu()


def question_words(backbone: Backbone, question: str) -> Tensor:
    """Token ids [S] of a question's own text, at least one."""
    ids = backbone.tokenizer.encode(question, add_special_tokens=False)
    return torch.tensor(ids or [backbone.base.config.video_token_id])


def video_seed(seed: int, video_id: str) -> int:
    """A 63-bit seed for one video of a run, the same on every machine."""
    digest = hashlib.sha256(f"{seed}:{video_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
