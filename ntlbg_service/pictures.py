"""Frames of the videos themselves, for the report and MLflow: which ones a run kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ntlbg_model.config import Config
from ntlbg_model.data.longvideobench import read_longvideobench
from ntlbg_model.data.records import Prediction, Question
from ntlbg_model.data.video import Frames, FrameCache, VideoError
from ntlbg_service.domain.resolve import parse
from ntlbg_service.ledger.records import Run
from ntlbg_service.results import Results
from ntlbg_service.workspace import Workspace

SHOWN = 3
"""Questions in a picture."""


def example_questions(predictions: Sequence[Prediction], shown: int = SHOWN) -> list[str]:
    """Ids of the first answered questions with gold frames, one a video and category at first."""
    answered = [row for row in predictions if row.failure is None and row.gold_frames]
    videos: set[str] = set()
    categories: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for row in answered:
        fresh = row.video_id not in videos and row.category not in categories
        (first if fresh else rest).append(row.question_id)
        if fresh:
            videos.add(row.video_id)
            categories.add(row.category)
    return (first + rest)[:shown]


class Videos:
    """Questions and cached frames of a run's evaluation sets."""

    def __init__(self, run: Run, workspace: Workspace) -> None:
        self._config = parse(Config, run.config, f"ledger run {run.run_id}")
        self._root = Path(run.details["data_root"])
        self._cache = FrameCache(workspace.cache)

    def questions(self, dataset: str) -> Mapping[str, Question]:
        """Questions of one evaluation set by id."""
        found = next(row for row in self._config.data.evaluation if row.name == dataset)
        rows = read_longvideobench(self._root / found.path, found.max_questions)
        return {row.question_id: row for row in rows}

    def frames(self, question: Question) -> Frames | None:
        """Candidate frames of a question's video; None where it cannot be read."""
        video = self._config.video
        try:
            return self._cache.frames(
                question.video_path, video.max_frames, video.frame_resolution
            )
        except VideoError:
            return None
