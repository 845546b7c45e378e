"""Frames of the videos themselves, for the report and MLflow: which ones a run kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ntlbg_model.config import Config
from ntlbg_model.data.longvideobench import DatasetError, read_longvideobench
from ntlbg_model.data.video import FrameCache, Frames, VideoError
from ntlbg_model.records import Prediction, Question
from ntlbg_service.domain.resolve import parse
from ntlbg_service.ledger.records import Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.report.picture import draw_kept_frames
from ntlbg_service.report.strips import FrameStrip, KeptFrames
from ntlbg_service.results.attempts import Results
from ntlbg_service.submission.fingerprints import data_root_of

SHOWN = 3
"""Questions in a picture or a report."""


def selection_picture(
    run: Run, results: Results, workspace: Workspace, folder: Path
) -> Path | None:
    """A PNG of what a run kept for a few questions; None where it answered none."""
    for dataset, predictions in results.predictions.items():
        strips = frame_strips({run.variant: (run, predictions)}, dataset, workspace)
        if strips:
            path = folder / "kept.png"
            draw_kept_frames(strips, path)
            return path
    return None


def frame_strips(
    runs: Mapping[str, tuple[Run, Sequence[Prediction]]], dataset: str, workspace: Workspace
) -> list[FrameStrip]:
    """A strip a question: what each of the runs (by name) kept of the same video."""
    answers = {
        name: {row.question_id: row for row in predictions}
        for name, (_, predictions) in runs.items()
    }
    first_run, first = next(iter(runs.values()))
    try:
        questions = _questions(first_run, dataset, workspace)
    except DatasetError:  # The data set was moved since: the report does without pictures.
        return []
    strips: list[FrameStrip] = []
    for question_id in example_questions(first):
        question = questions.get(question_id)
        frames = _frames(first_run, question, workspace) if question is not None else None
        if question is None or frames is None:
            continue
        kept = {
            name: _kept(rows[question_id], frames)
            for name, rows in answers.items()
            if question_id in rows and _is_option(rows[question_id].answer, question)
        }
        if not kept:
            continue
        strips.append(
            FrameStrip(
                dataset=dataset,
                question_id=question_id,
                question=question.question,
                candidates=question.candidates,
                gold=question.answer,
                gold_frames=question.positions,
                total_frames=int(frames.indices[-1]) + 1,
                variants=kept,
            )
        )
    return strips


def example_questions(predictions: Sequence[Prediction], shown: int = SHOWN) -> list[str]:
    """Ids of the first answered questions with gold frames; fresh videos and categories first."""
    videos: set[str] = set()
    categories: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for row in predictions:
        if row.failure is not None or not row.gold_frames:
            continue
        fresh = row.video_id not in videos and row.category not in categories
        (first if fresh else rest).append(row.question_id)
        if fresh:
            videos.add(row.video_id)
            categories.add(row.category)
    return (first + rest)[:shown]


def _is_option(answer: int | None, question: Question) -> bool:
    """Whether a question has the option that a run says it chose."""
    return answer is None or answer < len(question.candidates)


def _kept(row: Prediction, frames: Frames) -> KeptFrames:
    place = {int(index): at for at, index in enumerate(frames.indices)}
    return KeptFrames(
        answer=row.answer,
        frames=row.frames,
        thumbnails={
            frame: np.asarray(frames.pixels[place[frame]]) for frame in row.frames if frame in place
        },
    )


def _questions(run: Run, dataset: str, workspace: Workspace) -> Mapping[str, Question]:
    config = parse(Config, run.config, f"ledger run {run.run_id}")
    found = next(row for row in config.data.evaluation if row.name == dataset)
    kept, data = run.details["data_root"], run.identity["data"]
    root = data_root_of(kept, data, config, workspace.home, workspace.data_root)
    folder = root / found.path
    return {row.question_id: row for row in read_longvideobench(folder, found.max_questions)}


def _frames(run: Run, question: Question, workspace: Workspace) -> Frames | None:
    """Candidate frames of a question's video; None where it cannot be read."""
    video = parse(Config, run.config, f"ledger run {run.run_id}").video
    try:
        return FrameCache(workspace.cache).frames(
            question.video_path, video.max_frames, video.frame_resolution
        )
    except (VideoError, OSError):  # Gone, or not kept by a home that cannot be written.
        return None
