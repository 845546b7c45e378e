"""What is rendered is what the plan says."""

import dataclasses

import numpy as np
import pytest

from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.render import needle_window, render, render_frames
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.shapes import FORMULAS, glyph
from ntlbg_model.data.needles.vocabulary import COLOURS, SHAPES


@pytest.mark.parametrize("resolution", [56, 112])
def test_some_frames_equal_those_of_the_whole(resolution: int) -> None:
    plan = sample_video(NeedlesSpec(split="glitch", videos=1, resolution=resolution), 0)
    whole = render(plan)
    assert whole.shape == (512, resolution, resolution, 3)
    picked = [
        511,
        0,
        *(frame for needle in plan.needles for frame in needle.frames),
        *(glitch.start + 2 for glitch in plan.glitches),
    ]
    np.testing.assert_array_equal(render_frames(plan, picked), whole[picked])
    assert render_frames(plan, []).shape == (0, resolution, resolution, 3)
    with pytest.raises(IndexError, match="frame 512 of a video of 512"):
        render_frames(plan, [512])


def test_a_needle_changes_its_box_and_nothing_else() -> None:
    plan = sample_video(NeedlesSpec(split="clean", videos=1), 0)
    bare = dataclasses.replace(plan, needles=())
    for needle in plan.needles:
        with_it, without = render_frames(plan, needle.frames), render_frames(bare, needle.frames)
        changed = (with_it != without).any(axis=(0, 3))
        rows, columns = needle_window(needle, 112)
        assert changed[rows, columns].mean() > 0.98
        changed[rows, columns] = False
        assert not changed.any()


def test_noise_never_overflows() -> None:
    plan = sample_video(NeedlesSpec(split="train", videos=4), 3)
    frames = render_frames(plan, range(0, 512, 8))
    assert frames.min() > 0 and frames.max() < 255


def test_glyphs_differ_even_when_turned() -> None:
    """No turned glyph overlaps another one as well as it overlaps its own kind."""
    assert set(SHAPES) < set(FORMULAS)
    upright = {shape: glyph(shape, 16, 0.0) for shape in SHAPES}
    for shape in SHAPES:
        for angle in (-0.25, 0.0, 0.25):
            turned = glyph(shape, 16, angle)
            overlap = {
                name: np.minimum(turned, other).sum() / np.maximum(turned, other).sum()
                for name, other in upright.items()
            }
            assert max(overlap, key=overlap.__getitem__) == shape


def test_a_glyph_is_a_coverage() -> None:
    for shape in FORMULAS:
        cover = glyph(shape, 20, 0.1)
        assert cover.shape == (20, 20) and cover.dtype == np.float32
        assert cover.min() == 0.0 and cover.max() == 1.0
        assert 0.15 < cover.mean() < 0.85


def test_colours_are_far_apart() -> None:
    values = np.array(list(COLOURS.values()), float)
    gaps = np.linalg.norm(values[:, None] - values[None], axis=2) + 1000 * np.eye(8)
    assert gaps.min() > 80
