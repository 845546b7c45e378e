"""A video as a stream of blocks equals the video read at once."""

from pathlib import Path

import numpy as np
import pytest

from ntlbg_model.data.stream import blocks
from ntlbg_model.data.timeline import VideoError, scan
from ntlbg_model.data.video import read_frames

SIZE = (28, 56)


@pytest.mark.parametrize("candidates", [range(200), range(0, 200, 9), range(170, 199)])
def test_blocks_are_the_frames(bars_video: Path, candidates: range) -> None:
    indices = np.array(candidates)
    found = list(blocks(bars_video, scan(bars_video), indices, SIZE, block=16))
    assert [block.start for block in found] == list(range(0, len(indices), 16))
    assert all(len(block.pixels) == 16 for block in found[:-1])
    whole = np.concatenate([block.pixels for block in found])
    np.testing.assert_array_equal(whole, read_frames(bars_video, list(candidates), SIZE).pixels)


def test_pairs_stay_together(bars_video: Path) -> None:
    with pytest.raises(ValueError, match="whole pairs, got 15"):
        next(blocks(bars_video, scan(bars_video), np.arange(4), SIZE, block=15))


def test_a_stream_that_breaks_off_says_where(bars_video: Path, tmp_path: Path) -> None:
    line = scan(bars_video)
    cut = tmp_path / "cut.mp4"
    data = bytearray(bars_video.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    cut.write_bytes(data)
    with pytest.raises(VideoError, match=r"does not decode|Invalid data|corrupt"):
        list(blocks(cut, line, np.arange(200), SIZE))
