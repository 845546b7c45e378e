"""The cache gives what decoding gives, decodes once, and notices a changed video."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ntlbg_model.data.video import FrameCache, VideoError, candidate_indices, read_frames
from tests.support.numbered_frames import write_bars

SIZE = (28, 56)


def _entries(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_miss_then_hit(bars_video: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    first = cache.frames(bars_video, 64, SIZE)
    direct = read_frames(bars_video, candidate_indices(200, 64), SIZE)
    before = _entries(tmp_path / "cache")
    second = FrameCache(tmp_path / "cache").frames(bars_video, 64, SIZE)
    for frames in (first, second):
        np.testing.assert_array_equal(frames.pixels, direct.pixels)
        np.testing.assert_array_equal(frames.indices, direct.indices)
        np.testing.assert_array_equal(frames.times, direct.times)
        assert isinstance(frames.pixels, np.memmap)
        assert not frames.pixels.flags.writeable
    assert _entries(tmp_path / "cache") == before
    assert len(before) == 2


def test_other_parameters_or_content_are_other_entries(tmp_path: Path) -> None:
    video, folder = tmp_path / "bars.mp4", tmp_path / "cache"
    write_bars(video)
    cache = FrameCache(folder)
    cache.frames(video, 64, SIZE)
    cache.frames(video, 32, SIZE)
    cache.frames(video, 64, (28, 28))
    assert len(_entries(folder)) == 6
    stat = video.stat()
    os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    cache.frames(video, 64, SIZE)
    assert len(_entries(folder)) == 8


def test_a_folder_that_was_moved_away_is_not_made_anew(bars_video: Path, tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "cache")
    kept = cache.frames(bars_video, 64, SIZE)
    (tmp_path / "cache").rename(tmp_path / "moved")
    read = cache.frames(bars_video, 64, SIZE)
    np.testing.assert_array_equal(read.pixels, kept.pixels)
    np.testing.assert_array_equal(read.times, kept.times)
    assert not (tmp_path / "cache").exists()


def test_a_bad_video_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (tmp_path / "bad.mp4").write_text("no")
    for name in ("bad.mp4", "missing.mp4"):
        with pytest.raises(VideoError):
            FrameCache(folder).frames(tmp_path / name, 64, SIZE)
    assert not folder.exists()


def test_two_processes_at_once(bars_video: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from ntlbg_model.data.video import FrameCache;"
        "frames = FrameCache(Path(sys.argv[1])).frames(Path(sys.argv[2]), 64, (28, 56));"
        "print(int(frames.pixels.sum()))"
    )
    folder = tmp_path / "cache"
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), str(bars_video)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    sums = {reader.communicate()[0].strip() for reader in readers}
    assert sums == {str(int(FrameCache(folder).frames(bars_video, 64, SIZE).pixels.sum()))}
    assert len(_entries(folder)) == 2
