"""Questions follow from the plan, and cannot be answered without the video."""

from collections import Counter, defaultdict
from itertools import groupby

import pytest

from ntlbg_model.data.needles.plan import NeedlesSpec, Split, VideoPlan
from ntlbg_model.data.needles.questions import TYPES, duration_group, questions
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.vocabulary import HELD_OUT, NUMBERS, SHAPES, VOCABULARY
from ntlbg_model.records import Question

Asked = list[tuple[VideoPlan, Question]]


def _asked(split: Split, videos: int = 200, per_video: int = 4) -> Asked:
    spec = NeedlesSpec(split=split, videos=videos, questions_per_video=per_video)
    plans = (sample_video(spec, index) for index in range(videos))
    return [(plan, question) for plan in plans for question in questions(plan)]


def _subject(question: Question) -> str | None:
    return next((shape for shape in SHAPES if shape in question.question), None)


def _right(question: Question) -> str:
    assert question.answer is not None
    return question.candidates[question.answer]


def _answer_by_watching(plan: VideoPlan, question: Question) -> str:
    shapes = [needle.shape for needle in plan.needles]
    subject = _subject(question)
    if question.category == "attribute":
        return next(needle.colour for needle in plan.needles if needle.shape == subject)
    if question.category == "count":
        return NUMBERS[shapes.count(subject) if subject else len(shapes)]
    if question.category == "order":
        assert subject and shapes.count(subject) == 1
        return shapes[shapes.index(subject) + 1]
    seen: Counter[str] = Counter()
    for scene in plan.scenes:
        seen[scene.background] += scene.stop - scene.start
    return seen.most_common(1)[0][0]


@pytest.mark.parametrize("split", ["train", "clean", "glitch"])
def test_answers_are_what_the_video_shows(split: Split) -> None:
    for plan, question in _asked(split, per_video=8):
        assert len(question.candidates) == len(set(question.candidates)) == 5
        assert _right(question) == _answer_by_watching(plan, question)


def test_words_are_in_the_vocabulary() -> None:
    for _, question in _asked("clean", 50):
        words = question.question.replace("?", " ?").split()
        assert set(words) <= set(VOCABULARY)
        assert set(question.candidates) <= set(VOCABULARY)


def test_positions_are_the_flashes_the_answer_depends_on() -> None:
    for plan, question in _asked("glitch"):
        shown = {frame: needle.shape for needle in plan.needles for frame in needle.frames}
        runs = [
            [place for _, place in run]
            for _, run in groupby(enumerate(question.positions), lambda pair: pair[1] - pair[0])
        ]
        flashed = [shown[run[0]] for run in runs]
        subject = _subject(question)
        shapes = [needle.shape for needle in plan.needles]
        expected = {
            "attribute": [subject] * shapes.count(subject or ""),
            "count": [s for s in shapes if subject in (None, s)],
            "order": [subject, _right(question)],
            "global": [],
        }[question.category]
        assert flashed == expected


def test_what_is_asked_about_is_held_out() -> None:
    for plan, question in _asked("clean"):
        looks = {needle.shape: needle.colour for needle in plan.needles}
        if question.category == "attribute":
            assert (_subject(question), _right(question)) in HELD_OUT
        for frame in question.positions:
            shape = next(n.shape for n in plan.needles if frame in n.frames)
            assert (shape, looks[shape]) in HELD_OUT


@pytest.mark.parametrize("per_video", [1, 3, 4])
def test_types_and_places_are_balanced(per_video: int) -> None:
    asked = _asked("clean", 200, per_video)
    assert len(asked) == 200 * per_video
    for kind in TYPES:
        places = Counter(question.answer for _, question in asked if question.category == kind)
        assert set(places) == set(range(5))
        assert max(places.values()) - min(places.values()) <= 1


def test_nothing_is_learned_from_text_alone() -> None:
    """The best guess from the wording and the options, learned on 2000 questions, is chance."""
    tally: dict[tuple[str, frozenset[str]], Counter[str]] = defaultdict(Counter)
    single: dict[str, Counter[str]] = defaultdict(Counter)
    asked = [question for _, question in _asked("train", 1000)]
    for question in asked[:2000]:
        tally[question.question, frozenset(question.candidates)][_right(question)] += 1
        single[question.question][_right(question)] += 1
    hits: Counter[str] = Counter()
    for question in asked[2000:]:
        votes = tally[question.question, frozenset(question.candidates)]
        prior = single[question.question]
        guess = max(question.candidates, key=lambda word: 10 * votes[word] + prior[word])
        hits[question.category] += guess == _right(question)
    shares = {kind: hits[kind] / 500 for kind in TYPES}
    assert all(0.13 < share < 0.27 for share in shares.values()), shares


def test_ids_and_durations() -> None:
    spec = NeedlesSpec(split="train", videos=1, frames=1024)
    asked = questions(sample_video(spec, 0))
    assert [question.question_id for question in asked] == [
        f"train-0-00000_{number}" for number in range(4)
    ]
    assert {(q.duration, q.duration_group) for q in asked} == {(128.0, 600)}
    assert [duration_group(s) for s in (10, 64, 300, 3000)] == [15, 60, 600, 3600]
