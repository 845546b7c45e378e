"""Every question gets a prediction, a broken video included."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import Config, EvaluationConfig, SelectionConfig, VideoConfig
from ntlbg_model.data.video import Frames, VideoError
from ntlbg_model.evaluation import evaluate, moment_recall, peak_memory_mib
from ntlbg_model.records import Prediction, Question
from tests.support.small_qwen import question

Reader = Callable[[Question], Frames]


def config(method: str = "uniform", batch: int = 2) -> Config:
    return Config(
        video=VideoConfig(num_representatives=16, frame_resolution=(28, 28)),
        selection=SelectionConfig(method=method),
        evaluation=EvaluationConfig(scoring="option_words", batch_size=batch),
    )


def run(options: Config, backbone: Backbone, asked: list[Question], frames: Reader):
    found: list[Prediction] = []
    evaluate(
        options,
        backbone=backbone,
        dataset="set",
        questions=asked,
        frames=frames,
        seed=1,
        on_prediction=found.append,
    )
    return found


def test_each_question_is_answered_in_order(backbone: Backbone, frames: Reader):
    asked = [question(i, frames=(3, 4)) for i in range(5)]
    found = run(config(), backbone, asked, frames)
    assert [row.question_id for row in found] == [q.question_id for q in asked]
    for row, one in zip(found, asked, strict=True):
        assert row.answer == max(range(5), key=row.scores.__getitem__)
        assert row.correct == (row.answer == one.answer)
        assert row.visual_tokens == 8 and len(row.frames) == 16
        assert all(score <= 0 for score in row.scores)
        assert row.seconds > 0 and row.failure is None


def test_kept_frames_are_in_the_video_s_own_numbering(backbone: Backbone, frames: Reader):
    row = run(config(), backbone, [question(0)], frames)[0]
    pairs = [
        i
        for k in range(8)
        for i in (2 * ((2 * k + 1) * 20 // 16), 2 * ((2 * k + 1) * 20 // 16) + 1)
    ]
    assert row.frames == tuple(3 * i for i in pairs)


def test_answers_do_not_depend_on_the_batch(backbone: Backbone, frames: Reader):
    asked = [question(i) for i in range(5)]
    small, large = (run(config("ntlbg", n), backbone, asked, frames) for n in (1, 4))
    for a, b in zip(small, large, strict=True):
        assert a.scores == pytest.approx(b.scores, abs=1e-4) and a.frames == b.frames


def test_all_frames_keeps_every_pair(backbone: Backbone, frames: Reader):
    row = run(config("all_frames"), backbone, [question(0)], frames)[0]
    assert len(row.frames) == 40 and row.visual_tokens == 20


def test_a_broken_video_fails_its_questions_and_no_others(backbone: Backbone, frames: Reader):
    def read(asked: Question) -> Frames:
        if asked.video_id == "broken":
            raise VideoError(Path("broken.mp4"), "frame 7 does not decode")
        return frames(asked)

    asked = [question(0), question(1, "broken"), question(2), question(3, "broken"), question(4)]
    found = run(config(), backbone, asked, read)
    assert [row.question_id for row in found] == [q.question_id for q in asked]
    assert [row.failure for row in found] == [
        None,
        "broken.mp4: frame 7 does not decode",
        None,
        "broken.mp4: frame 7 does not decode",
        None,
    ]
    assert found[1].answer is None and not found[1].correct
    clean = run(config(), backbone, [asked[0], asked[2], asked[4]], frames)
    assert [row.answer for row in found if not row.failure] == [row.answer for row in clean]


def test_questions_that_cannot_be_asked_fail_with_the_reason(backbone: Backbone, frames: Reader):
    def read(asked: Question) -> Frames:
        found = frames(asked)
        if asked.video_id != "short":
            return found
        return Frames(pixels=found.pixels[:1], indices=found.indices[:1], times=found.times[:1])

    alike = replace(question(1), candidates=("red", "red", "blue", "green", "white"))
    found = run(config(), backbone, [question(0, "short"), alike, question(2)], read)
    assert found[0].failure == "a video needs at least 2 frames, got 1"
    assert "do not differ in their first token" in (found[1].failure or "")
    assert found[2].failure is None


@pytest.mark.parametrize(
    ("gold", "kept", "recall"),
    [
        ((), (1, 2), None),
        ((5, 6, 7), (6,), 1.0),
        ((5, 6, 7), (8,), 0.0),
        ((5, 6, 9, 20), (6, 20), 2 / 3),
        ((9, 6, 5), (5, 9), 1.0),
    ],
)
def test_recall_counts_moments(gold, kept, recall):
    assert moment_recall(gold, kept) == recall


def test_peak_memory_is_that_of_this_process():
    assert 50 < peak_memory_mib() < 1_000_000
