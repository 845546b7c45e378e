"""A plan to multiple-choice questions with gold frames.

What can be known without seeing the video is balanced: correct options stand equally often in
each place, and wrong options are drawn so that each option shown is equally likely to be right.
One exception: outside training a shape's colour is one of its two held out ones. Both are always
among the options, so that knowing the list of held out looks is worth one half there, while what
training shows of a shape's colours only misleads.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ntlbg_model.data.needles.plan import FPS, VideoPlan
from ntlbg_model.data.needles.vocabulary import (
    ATTRIBUTE,
    BACKGROUNDS,
    COUNT_ALL,
    COUNT_SHAPE,
    GLOBAL,
    NUMBERS,
    ORDER,
    SHAPES,
    needle_colours,
)
from ntlbg_model.records import Question

TYPES = ("attribute", "count", "order", "global")
"""Question categories; the last needs drawn scenes."""
OPTIONS = 5
"""Candidates a question; guessing is right one time in five."""

_Draft = tuple[str, str, Sequence[str], tuple[int, ...]]
"""Text, answer, wrong options in order of preference, gold frames."""


def questions(plan: VideoPlan) -> list[Question]:
    """The questions of a video, at most `questions_per_video`.

    `video_path` is relative, `videos/<id>.mp4`; `positions` are all frames of the flashes that
    the answer depends on, empty for 'global' and for a shape that never flashes.
    """
    types = TYPES[: 3 if plan.spec.haystack else 4]
    rng = np.random.default_rng([plan.spec.seed, plan.index, 4, plan.noise])
    pools = {kind: _DRAFTS[kind](plan, rng) for kind in types}
    asked: list[Question] = []
    for number in range(plan.spec.questions_per_video):
        turn = plan.index * plan.spec.questions_per_video + number
        kind = types[turn % len(types)]
        if pools[kind]:
            place = _place(plan.spec.seed, turn, len(types))
            asked.append(_question(plan, kind, len(asked), pools[kind].pop(), place, rng))
    return asked


def _place(seed: int, turn: int, types: int) -> int:
    """Place of the right option: each once in every five questions of a type."""
    block, offset = divmod(turn // types, OPTIONS)
    order = np.random.default_rng([seed, 5, turn % types, block]).permutation(OPTIONS)
    return int(order[offset])


def _question(
    plan: VideoPlan, kind: str, number: int, draft: _Draft, place: int, rng: np.random.Generator
) -> Question:
    text, right, wrong, positions = draft
    candidates = [str(option) for option in rng.permutation(wrong[: OPTIONS - 1])]
    candidates.insert(place, right)
    return Question(
        question_id=f"{plan.video_id}_{number}",
        video_id=plan.video_id,
        video_path=Path("videos") / f"{plan.video_id}.mp4",
        question=text,
        candidates=tuple(candidates),
        answer=place,
        category=kind,
        positions=positions,
        duration=plan.frames / FPS,
        duration_group=duration_group(plan.frames / FPS),
    )


def duration_group(seconds: float) -> int:
    """LongVideoBench's group of a duration; its gaps are split in the middle."""
    return next((group for group, end in ((15, 15), (60, 120), (600, 750)) if seconds <= end), 3600)


def _others(rng: np.random.Generator, words: Sequence[str], *used: str) -> list[str]:
    return [str(word) for word in rng.permutation([w for w in words if w not in used])]


def _flashes_of(plan: VideoPlan, shape: str | None) -> tuple[int, ...]:
    """Frames of all flashes of `shape`, or of all flashes."""
    return tuple(
        frame for needle in plan.needles if shape in (None, needle.shape) for frame in needle.frames
    )


def _attribute(plan: VideoPlan, rng: np.random.Generator) -> list[_Draft]:
    colours = {needle.shape: needle.colour for needle in plan.needles}
    drafts: list[_Draft] = []
    for shape in rng.permutation(sorted(colours)):
        seen, unseen = (needle_colours(shape, held_out=flag) for flag in (False, True))
        wrong = _others(rng, seen, colours[shape])
        if plan.spec.split != "train":
            wrong = _others(rng, unseen, colours[shape]) + wrong
        drafts.append(
            (ATTRIBUTE.format(shape=shape), colours[shape], wrong, _flashes_of(plan, shape))
        )
    return drafts


def _count(plan: VideoPlan, rng: np.random.Generator) -> list[_Draft]:
    if plan.counted is None:
        text, total, answers = COUNT_ALL, len(plan.needles), list(NUMBERS[4:])
    else:
        text = COUNT_SHAPE.format(shape=plan.counted)
        total = sum(needle.shape == plan.counted for needle in plan.needles)
        answers = list(NUMBERS[:5])
    right = NUMBERS[total]
    return [(text, right, _others(rng, answers, right), _flashes_of(plan, plan.counted))]


def _order(plan: VideoPlan, rng: np.random.Generator) -> list[_Draft]:
    shapes = [needle.shape for needle in plan.needles]
    drafts: list[_Draft] = []
    for place in rng.permutation(len(shapes) - 1):
        first, then = plan.needles[place], plan.needles[place + 1]
        if shapes.count(first.shape) == 1:
            present = _others(rng, sorted(set(shapes)), first.shape, then.shape)
            absent = _others(rng, SHAPES, *shapes)
            drafts.append(
                (
                    ORDER.format(shape=first.shape),
                    then.shape,
                    present + absent,
                    first.frames + then.frames,
                )
            )
    return drafts


def _global(plan: VideoPlan, rng: np.random.Generator) -> list[_Draft]:
    totals = dict.fromkeys(BACKGROUNDS, 0)
    for scene in plan.scenes:
        totals[scene.background] += scene.stop - scene.start
    longest = max(totals, key=lambda hue: totals[hue])
    return [(GLOBAL, longest, _others(rng, tuple(BACKGROUNDS), longest), ())]


_DRAFTS = {"attribute": _attribute, "count": _count, "order": _order, "global": _global}
