"""Questions that can be trained on, with what is kept of their videos."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch.utils.data import Dataset

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.config import PAIR, Config
from ntlbg_model.data.video import Frames, VideoError
from ntlbg_model.geometry.visual_tokens import layout_of
from ntlbg_model.inputs.collate import Sample, gather_pairs
from ntlbg_model.inputs.points import PointReader
from ntlbg_model.modeling.video_selection import VideoSelector
from ntlbg_model.records import Question
from ntlbg_model.training.sampling import Share

logger = logging.getLogger(__name__)

FrameReader = Callable[[Question], Frames]
"""Candidate frames of a question's video. Raises VideoError."""


class NoTrainingDataError(ValueError):
    """No question with a readable video and a known answer is left."""


class QuestionSamples(Dataset[Sample]):
    """Questions with the frame pairs that the config's selection keeps of their videos."""

    def __init__(
        self,
        config: Config,
        backbone: Backbone,
        questions: Sequence[Question],
        frames: FrameReader,
        seed: int,
    ) -> None:
        self._questions = questions
        self._frames = frames
        self._selector = VideoSelector(config.video, config.selection, seed, backbone)
        self._points = PointReader(config)
        self._layout = layout_of(config.model)
        self._tokens_per_second = backbone.tokens_per_second
        self._prompts = [
            build_prompt(question, backbone.tokenizer, config.evaluation.scoring)
            for question in questions
        ]

    def __len__(self) -> int:
        return len(self._questions)

    def __getitem__(self, index: int) -> Sample:
        question = self._questions[index]
        found = self._frames(question)
        pixels = torch.from_numpy(found.pixels.copy())
        pairs = self._selector.pairs(question.video_id, pixels, question.question)
        return Sample(
            prompt=self._prompts[index],
            pixels=gather_pairs(pixels, pairs),
            pairs=pairs,
            answer=question.answer,
            points=self._points.points(question.video_id, pixels, pairs, found.times),
            layout=self._layout,
            tokens_per_second=self._tokens_per_second,
            video=str(question.video_path),
        )


def usable_sets(
    questions: Sequence[Question], sets: Sequence[Share], frames: FrameReader
) -> list[tuple[list[Question], float]]:
    """Of each set what can be trained on, and its weight; sets of which nothing is left are out.

    Raises ValueError where the sets are not all of the questions.
    """
    if sum(each.samples for each in sets) != len(questions):
        raise ValueError("the sets do not add up to the questions")
    usable = {id(row) for row in readable(questions, frames)}
    found = []
    start = 0
    for each in sets:
        mine = questions[start : start + each.samples]
        start += each.samples
        found.append(([row for row in mine if id(row) in usable], each.weight))
    return [(rows, weight) for rows, weight in found if rows]


def readable(questions: Sequence[Question], frames: FrameReader) -> list[Question]:
    """Questions that can be trained on: a known answer and a video that decodes.

    Whatever is left out is named in the log, once a video.
    """
    broken: dict[str, bool] = {}
    for question in questions:
        if question.video_id not in broken:
            reason = _unreadable(question, frames)
            broken[question.video_id] = reason is not None
            if reason is not None:
                logger.warning("excluded from training: %s: %s", question.video_path, reason)
    return [row for row in questions if row.answer is not None and not broken[row.video_id]]


def _unreadable(question: Question, frames: FrameReader) -> str | None:
    """Why a question's video cannot be used, or None."""
    try:
        found = len(frames(question).pixels)
    except VideoError as error:
        return error.reason
    return None if found >= PAIR else f"has {found} frames, and selection needs {PAIR}"
