"""Which pairs of a watched video a question is answered from."""

from dataclasses import replace

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.video_points import VideoPoints
from ntlbg_model.config import PAIR, Config, SelectionConfig, VideoConfig
from ntlbg_model.inputs.points import cell_context
from ntlbg_model.modeling.video_selection import LearnedChoice, video_seed
from ntlbg_model.selection import gaussian
from ntlbg_model.selection.features import features_of
from ntlbg_model.selection.scoring import FrameScorer
from ntlbg_model.selection.select import Selection, select_pairs
from ntlbg_model.streaming_qa.question import QuestionError
from ntlbg_model.streaming_qa.streamed_video import WatchedVideo

MOST_KEPT = 512
"""Frames kept by default at most: 16,384 tokens at 224 x 224 pixels."""


class Looker:
    """Chooses pairs as `VideoSelector` does, from what was remembered of a stream."""

    def __init__(self, config: Config, backbone: Backbone, seed: int) -> None:
        """Raises EncoderError where the selection asks for an encoder that cannot be loaded,
        ValueError where it is learned and the backbone has no selector."""
        self._config = config
        self._seed = seed
        self._scorer = FrameScorer(config.selection, backbone)
        learned = config.selection.query == "learned"
        self._learned = LearnedChoice(backbone) if learned else None

    @torch.no_grad()
    def choose(
        self, key: str, watched: WatchedVideo, question: str, frames: int | None
    ) -> Selection:
        """`frames` of the video `key`, by default the config's number. Raises QuestionError."""
        try:
            count = kept_frames(self._config.video, len(watched.candidates), frames) // PAIR
        except ValueError as error:
            raise QuestionError(str(error)) from None
        options = self._config.selection
        name, features, similarity = watched.path.stem, features_of(watched.statistics), None
        if watched.frames is not None and needs_frames(options):
            pixels = torch.from_numpy(watched.frames)
            if options.compares_frames:
                features = self._scorer.features(key, pixels)
            if options.compares_with_question:
                similarity = self._scorer.similarity(key, pixels, question)
                features, name = features.to(similarity.device), f"{name}:{question}"
        if self._learned is not None and count < len(features):
            pairs, scores = self._learned.choose(key, features, question, count)
            return Selection(pairs=pairs, scores=scores)
        chosen = select_pairs(features, count, options, video_seed(self._seed, name), similarity)
        return Selection(pairs=chosen.pairs.cpu(), scores=chosen.scores.cpu())

    def points(self, watched: WatchedVideo, pairs: Tensor) -> VideoPoints:
        """The chosen pairs with their times, and with their context where the model asks for it."""
        firsts = watched.candidates[(PAIR * pairs).numpy()]
        times = torch.from_numpy(watched.timeline.times(firsts)).float()
        context = None
        if self._config.model.rich_points.enabled:
            features = features_of(watched.statistics)
            gauss = gaussian.fit(features, self._config.selection.rank)
            context = cell_context(features, gauss.squared_distances(features).sqrt(), pairs)
        return VideoPoints(pairs=pairs, times=times, context=context)


def needs_frames(selection: SelectionConfig) -> bool:
    """Whether a selection looks at more of the candidate frames than their thumbnails."""
    looks = selection.compares_frames and selection.features != "pixels"
    return looks or selection.compares_with_question


def kept_frames(video: VideoConfig, candidates: int, wanted: int | None) -> int:
    """Frames kept of `candidates`: `wanted` by the rule of `VideoConfig` (down to a multiple of
    its alignment), or where neither says a number its coverage, at most `MOST_KEPT`."""
    if wanted is None and video.num_representatives is None:
        return min(video.representatives(candidates), MOST_KEPT)
    if wanted is not None:
        video = replace(video, num_representatives=wanted, max_representatives_ratio=1.0)
    return video.representatives(candidates)
