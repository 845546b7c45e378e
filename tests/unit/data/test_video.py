"""Decoding is exact whatever is asked for, and bad files fail with one line."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from ntlbg_model.data.needles.footage import sample_footage
from ntlbg_model.data.video import VideoError, candidate_indices, probe, read_frames
from tests.support.numbered_frames import BARS_FRAMES, read_bars, write_bars

SIZE = (32, 64)


def test_probe(bars_video: Path) -> None:
    info = probe(bars_video)
    assert (info.frames, info.width, info.height) == (BARS_FRAMES, 64, 32)
    assert info.fps == pytest.approx(10)
    assert info.duration == pytest.approx(20)


def test_every_frame_is_itself(bars_video: Path) -> None:
    frames = read_frames(bars_video, None, SIZE)
    assert [read_bars(frame) for frame in frames.pixels] == list(range(BARS_FRAMES))
    assert frames.indices.tolist() == list(range(BARS_FRAMES))
    np.testing.assert_allclose(frames.times, np.arange(BARS_FRAMES) / 10)


@pytest.mark.parametrize(
    "indices",
    [
        [199],
        [0, 199],
        [24, 25, 26],
        [3, 60, 61, 130, 199],
        list(range(90, 180)),
        list(range(0, 200, 7)),
        [150, 3, 3, 149],
        [],
    ],
)
def test_any_frames_equal_those_of_a_whole_pass(bars_video: Path, indices: list[int]) -> None:
    whole = read_frames(bars_video, None, (28, 28))
    some = read_frames(bars_video, indices, (28, 28))
    np.testing.assert_array_equal(some.pixels, whole.pixels[indices])
    np.testing.assert_array_equal(some.times, whole.times[indices])
    assert some.indices.tolist() == indices


def test_uneven_times_and_a_late_start(tmp_path: Path) -> None:
    path = tmp_path / "uneven.mkv"
    write_bars(path, uneven=True, first=30)
    steps = [0.2 if number % 3 == 0 else 0.1 for number in range(BARS_FRAMES - 1)]
    wanted = [0, 1, 77, 78, 160]
    frames = read_frames(path, wanted, SIZE)
    assert [read_bars(frame) for frame in frames.pixels] == wanted
    expected = np.concatenate(([0], np.cumsum(steps)))[wanted]
    np.testing.assert_allclose(frames.times, expected, atol=2e-3)


def test_real_footage_sparse_equals_dense() -> None:
    bikes = sample_footage()[0]
    wanted = [5, 100, 101, 249]
    np.testing.assert_array_equal(
        read_frames(bikes, wanted, (56, 56)).pixels,
        read_frames(bikes, None, (56, 56)).pixels[wanted],
    )


def test_a_frame_that_is_not_there(bars_video: Path) -> None:
    with pytest.raises(IndexError, match="200 frames"):
        read_frames(bars_video, [200], SIZE)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.9, 0.999])
def test_truncated(bars_video: Path, tmp_path: Path, share: float) -> None:
    content = bars_video.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(VideoError) as caught:
        read_frames(path, None, SIZE)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    with pytest.raises(VideoError):
        probe(path)


def test_truncated_names_the_count(bars_video: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(bars_video.read_bytes()[:-100])
    with pytest.raises(VideoError, match=r"cut\.mp4: truncated: 19\d of 200 frames"):
        probe(path)


def test_corrupt_missing_and_not_a_video(bars_video: Path, tmp_path: Path) -> None:
    content = bytearray(bars_video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    corrupt, text, sound = (tmp_path / name for name in ("corrupt.mp4", "text.mp4", "folder"))
    corrupt.write_bytes(content)
    text.write_text("not a video")
    sound.mkdir()
    for path in (corrupt, text, sound, tmp_path / "missing.mp4"):
        with pytest.raises(VideoError) as caught:
            read_frames(path, None, SIZE)
        assert caught.value.reason


def test_the_error_survives_another_process() -> None:
    error = pickle.loads(pickle.dumps(VideoError(Path("a.mp4"), "truncated")))
    assert (error.path, error.reason, str(error)) == (
        Path("a.mp4"),
        "truncated",
        "a.mp4: truncated",
    )


def test_candidates_are_all_frames_or_even_pairs() -> None:
    assert candidate_indices(7, 8) == list(range(7))
    assert candidate_indices(8, 4) == [2, 3, 6, 7]
    for total, most in ((1001, 64), (513, 512), (4096, 7)):
        picked = candidate_indices(total, most)
        firsts, seconds = np.array(picked[::2]), np.array(picked[1::2])
        assert len(picked) == most // 2 * 2
        assert (firsts % 2 == 0).all() and (seconds == firsts + 1).all()
        assert picked[-1] < total
        steps = np.diff(firsts)
        assert steps.min() >= 2 and steps.max() - steps.min() <= 2
    with pytest.raises(ValueError, match="max_frames"):
        candidate_indices(10, 1)
