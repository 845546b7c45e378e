"""Plans keep their promises: held out looks, events apart, more bursts than representatives."""

from collections import Counter
from itertools import pairwise

import pytest

from ntlbg_model.config import VideoConfig
from ntlbg_model.data.needles.plan import NeedlesSpec, Split, VideoPlan
from ntlbg_model.data.needles.sampling import GAP, sample_video
from ntlbg_model.data.needles.vocabulary import BACKGROUNDS, COLOURS, HELD_OUT, SHAPES, VOCABULARY


def _plans(split: Split, count: int = 100, frames: int = 512) -> list[VideoPlan]:
    spec = NeedlesSpec(split=split, videos=count, frames=frames)
    return [sample_video(spec, index) for index in range(count)]


def _looks(plans: list[VideoPlan]) -> set[tuple[str, str]]:
    return {(needle.shape, needle.colour) for plan in plans for needle in plan.needles}


def test_held_out_looks_are_two_of_each_shape_and_colour() -> None:
    assert len(HELD_OUT) == 16
    assert set(Counter(shape for shape, _ in HELD_OUT).values()) == {2}
    assert set(Counter(colour for _, colour in HELD_OUT).values()) == {2}


def test_training_never_flashes_a_held_out_look() -> None:
    assert _looks(_plans("train", 300)) == {(s, c) for s in SHAPES for c in COLOURS} - HELD_OUT
    assert _looks(_plans("clean")) == HELD_OUT
    assert _looks(_plans("glitch")) == HELD_OUT


@pytest.mark.parametrize("frames", [512, 1000, 4096])
def test_a_burst_majority_only_in_the_glitch_split(frames: int) -> None:
    assert all(not plan.glitches for split in ("train", "clean") for plan in _plans(split, 3))
    for plan in _plans("glitch", 3, frames):
        rare = sum(glitch.length for glitch in plan.glitches)
        assert len(plan.glitches) == 24 * frames // 512
        assert rare > VideoConfig().representatives(frames)
        assert {glitch.kind for glitch in plan.glitches} == {"noise", "bars", "logo", "symbol"}


@pytest.mark.parametrize("split", ["train", "glitch"])
def test_events_are_short_and_apart(split: Split) -> None:
    for plan in _plans(split):
        assert 4 <= len(plan.needles) <= 10
        assert all(1 <= needle.length <= 4 for needle in plan.needles)
        events = sorted((e.start, e.start + e.length) for e in (*plan.needles, *plan.glitches))
        assert events[0][0] >= GAP and events[-1][1] <= plan.frames - GAP
        assert all(start - end >= GAP for (_, end), (start, _) in pairwise(events))
        assert list(plan.needles) == sorted(plan.needles, key=lambda needle: needle.start)


def test_a_shape_has_one_colour_in_a_video() -> None:
    for plan in _plans("train"):
        looks = _looks([plan])
        assert len(looks) == len({shape for shape, _ in looks})


@pytest.mark.parametrize("frames", [512, 4096])
def test_scenes_fill_the_video_and_one_hue_lasts_longest(frames: int) -> None:
    for plan in _plans("clean", 20, frames):
        assert plan.scenes[0].start == 0 and plan.scenes[-1].stop == frames
        totals: Counter[str] = Counter()
        for scene, following in pairwise(plan.scenes):
            assert scene.stop == following.start
            assert scene.background != following.background
        for scene in plan.scenes:
            assert scene.stop - scene.start >= 16
            assert 1 <= len(scene.actors) <= 3
            totals[scene.background] += scene.stop - scene.start
        (_, longest), (_, second) = totals.most_common(2)
        assert longest >= 1.25 * second


def test_plans_are_pure_and_videos_differ() -> None:
    spec = NeedlesSpec(split="glitch", videos=3)
    assert sample_video(spec, 1) == sample_video(spec, 1)
    assert sample_video(spec, 1).needles != sample_video(spec, 2).needles
    other = NeedlesSpec(split="clean", videos=3)
    assert sample_video(spec, 1).needles != sample_video(other, 1).needles
    with pytest.raises(IndexError, match="video 3 of a set of 3"):
        sample_video(spec, 3)


def test_the_number_of_videos_does_not_change_a_video() -> None:
    few, many = (NeedlesSpec(split="train", videos=count) for count in (5, 50))
    assert sample_video(few, 4).needles == sample_video(many, 4).needles


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("split", "test"),
        ("videos", 0),
        ("frames", 511),
        ("frames", 4097),
        ("questions_per_video", 9),
        ("seed", -1),
        ("resolution", 55),
        ("resolution", 57),
    ],
)
def test_options_are_checked(field: str, value: object) -> None:
    options = {"split": "train", "videos": 1, field: value}
    with pytest.raises(ValueError, match=f"^{field} must be"):
        NeedlesSpec(**options)  # type: ignore[arg-type]


def test_the_vocabulary_has_each_word_once() -> None:
    assert len(VOCABULARY) == len(set(VOCABULARY))
    assert not set(COLOURS) & set(BACKGROUNDS)
