"""Answering multiple-choice questions, one `Prediction` each."""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.config import PAIR, Config
from ntlbg_model.data.video import Frames, VideoError
from ntlbg_model.geometry.visual_tokens import layout_of
from ntlbg_model.inputs.collate import Sample, collate, gather_pairs
from ntlbg_model.inputs.points import PointReader
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.video_selection import VideoSelector
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Prediction, Question

FrameReader = Callable[[Question], Frames]
"""Candidate frames of a question's video. Raises VideoError."""


@dataclass(frozen=True)
class _Asked:
    """A question with its kept frames, ready for the model."""

    question: Question
    sample: Sample | NativeSample
    frames: tuple[int, ...]
    seconds: float
    """Selection and gathering, frames being cached."""


def evaluate(
    config: Config,
    *,
    backbone: Backbone | NativeModel,
    dataset: str,
    questions: Sequence[Question],
    frames: FrameReader,
    seed: int,
    on_prediction: Callable[[Prediction], None],
) -> None:
    """Answer every question and hand each `Prediction` to `on_prediction`, in order.

    A video that cannot be read or is too short fails its questions, by name, and nothing else; so
    does a question whose options begin alike.
    """
    was_training = backbone.model.training
    backbone.model.eval()
    own = backbone if isinstance(backbone, Backbone) else None
    selector = VideoSelector(config.video, config.selection, seed, own)
    points = PointReader(config)
    waiting: list[_Asked] = []
    for question in questions:
        try:
            waiting.append(_ask(config, backbone, selector, points, question, frames))
        except (VideoError, ValueError) as error:
            for prediction in _answers(backbone, dataset, waiting):
                on_prediction(prediction)
            waiting = []
            on_prediction(_failed(dataset, question, _reason(error)))
        if len(waiting) == config.evaluation.batch_size:
            for prediction in _answers(backbone, dataset, waiting):
                on_prediction(prediction)
            waiting = []
    for prediction in _answers(backbone, dataset, waiting):
        on_prediction(prediction)
    backbone.model.train(was_training)


def _ask(
    config: Config,
    backbone: Backbone | NativeModel,
    selector: VideoSelector,
    points: PointReader,
    question: Question,
    frames: FrameReader,
) -> _Asked:
    found = frames(question)
    started = time.perf_counter()
    pixels = torch.from_numpy(found.pixels.copy())
    pairs = selector.pairs(question.video_id, pixels, question.question)
    scoring = config.evaluation.scoring
    sample: Sample | NativeSample
    if isinstance(backbone, NativeModel):
        times = torch.from_numpy(found.times)
        sample = backbone.sample(question, pixels, times, pairs, scoring)
    else:
        sample = Sample(
            prompt=build_prompt(question, backbone.tokenizer, scoring),
            pixels=gather_pairs(pixels, pairs),
            pairs=pairs,
            answer=question.answer,
            points=points.points(question.video_id, pixels, pairs, found.times),
            layout=layout_of(config.model),
            tokens_per_second=backbone.tokens_per_second,
            video=str(question.video_path),
        )
    kept = tuple(int(found.indices[PAIR * pair + half]) for pair in pairs for half in range(PAIR))
    return _Asked(question, sample, kept, time.perf_counter() - started)


@torch.no_grad()
def _answers(
    backbone: Backbone | NativeModel, dataset: str, asked: Sequence[_Asked]
) -> Iterator[Prediction]:
    if not asked:
        return
    started = time.perf_counter()
    logits = _logits(backbone, [one.sample for one in asked]).cpu()
    share = (time.perf_counter() - started) / len(asked)
    for one, row in zip(asked, logits, strict=True):
        yield _prediction(dataset, one, row, one.seconds + share)


def _logits(backbone: Backbone | NativeModel, samples: Sequence[Sample | NativeSample]) -> Tensor:
    if isinstance(backbone, NativeModel):
        return backbone.logits([one for one in samples if isinstance(one, NativeSample)])
    own = [one for one in samples if isinstance(one, Sample)]
    return answer_logits(backbone, collate(own, backbone.video_token).to(backbone.device))


def _prediction(dataset: str, asked: _Asked, logits: Tensor, seconds: float) -> Prediction:
    """Log-probabilities are over the whole vocabulary, so they say how sure the model is."""
    question = asked.question
    scores = logits.log_softmax(0)[list(asked.sample.prompt.options)]
    answer = int(scores.argmax())
    return Prediction(
        dataset=dataset,
        question_id=question.question_id,
        video_id=question.video_id,
        category=question.category,
        gold=question.answer,
        answer=answer,
        correct=answer == question.answer,
        frames=asked.frames,
        gold_frames=question.positions,
        needle_recall=moment_recall(question.positions, asked.frames),
        visual_tokens=asked.sample.video_tokens,
        seconds=seconds,
        scores=tuple(scores.tolist()),
    )


def _reason(error: VideoError | ValueError) -> str:
    return f"{error.path.name}: {error.reason}" if isinstance(error, VideoError) else str(error)


def _failed(dataset: str, question: Question, reason: str) -> Prediction:
    return Prediction(
        dataset=dataset,
        question_id=question.question_id,
        video_id=question.video_id,
        category=question.category,
        gold=question.answer,
        answer=None,
        correct=False,
        failure=reason,
        gold_frames=question.positions,
    )


def moment_recall(gold: Sequence[int], kept: Sequence[int]) -> float | None:
    """Share of the gold moments (runs of consecutive frames) of which a frame was kept."""
    if not gold:
        return None
    seen = set(kept)
    hits: list[bool] = []
    previous: int | None = None
    for frame in sorted(set(gold)):
        if previous is None or frame != previous + 1:
            hits.append(False)
        hits[-1] = hits[-1] or frame in seen
        previous = frame
    return sum(hits) / len(hits)


def peak_memory_mib() -> float:
    """Peak of this process so far: allocated on the GPU, else the resident set.

    Linux keeps `ru_maxrss` over exec, so that a small process started by a large one reports the
    large one's peak; `VmHWM` is the process's own.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1024**2
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
