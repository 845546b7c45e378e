"""Exact reading of video frames, and a cache of them on disk.

Frames are identified by presentation timestamp, never by counting what a decoder returns. PyAV is
imported when a video is opened.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ntlbg_model.data.stream import decoded
from ntlbg_model.data.timeline import FrameTimeline, Indices, VideoError, scan

__all__ = [
    "FrameCache",
    "Frames",
    "VideoError",
    "VideoInfo",
    "candidate_indices",
    "decode_frames",
    "entry_key",
    "probe",
    "read_frames",
    "save_whole",
]


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a file says of its video."""

    frames: int
    fps: float
    """Mean frames a second."""
    duration: float
    """Seconds from the first frame to the end of the last."""
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Some frames of one video."""

    pixels: npt.NDArray[np.uint8]
    """[n, height, width, 3] RGB. Read-only where it comes from the cache."""
    indices: Indices
    """[n], in the video's own numbering."""
    times: npt.NDArray[np.float64]
    """[n], seconds since the first frame."""


def probe(path: Path) -> VideoInfo:
    """Number, rate and size of a video's frames. Raises VideoError."""
    timeline = scan(path)
    frames = len(timeline.shown)
    span = float(timeline.times(np.array([frames - 1]))[0])
    fps = round((frames - 1) / span, 6) if span > 0 else 1.0
    return VideoInfo(
        frames=frames,
        fps=fps,
        duration=frames / fps,
        width=timeline.width,
        height=timeline.height,
    )


def read_frames(path: Path, indices: Sequence[int] | None, size: tuple[int, int]) -> Frames:
    """Frames `indices` (None: all) of a video, resized to `size` (height, width).

    They come in the order asked for and may repeat. Raises VideoError where a frame cannot be
    decoded, IndexError where the video has no such frame.
    """
    timeline = scan(path)
    total = len(timeline.shown)
    asked = np.arange(total) if indices is None else np.asarray(indices, dtype=np.int64)
    if asked.size and not 0 <= asked.min() <= asked.max() < total:
        raise IndexError(f"{path} has {total} frames, asked for {asked.min()}..{asked.max()}")
    distinct, inverse = np.unique(asked, return_inverse=True)
    pixels = decode_frames(path, timeline, distinct, size)
    if not np.array_equal(distinct, asked):
        pixels = pixels[inverse]
    return Frames(pixels=pixels, indices=asked, times=timeline.times(asked))


def candidate_indices(n_frames: int, max_frames: int) -> list[int]:
    """All frames of a video, or a uniform sample of its adjacent pairs (2k, 2k + 1).

    A sample has max_frames // 2 pairs, one in the middle of each equal share of the video.
    """
    if n_frames <= max_frames:
        return list(range(n_frames))
    if max_frames < 2:
        raise ValueError(f"max_frames must be at least 2, got {max_frames}")
    pairs, kept = n_frames // 2, max_frames // 2
    firsts = [2 * ((2 * place + 1) * pairs // (2 * kept)) for place in range(kept)]
    return [first + step for first in firsts for step in (0, 1)]


def decode_frames(
    path: Path, timeline: FrameTimeline, targets: Indices, size: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Frames `targets` (ascending, distinct), [n, height, width, 3]. Raises VideoError."""
    height, width = size
    pixels = np.empty((len(targets), height, width, 3), np.uint8)
    for place, picture in enumerate(decoded(path, timeline, targets, size)):
        pixels[place] = picture
    return pixels


class FrameCache:
    """Candidate frames of videos, decoded once and kept in a folder.

    Several processes may share the folder: files appear complete or not at all. A changed video
    (size or modification time) is another entry; nothing is ever removed. A folder that was there
    and is gone, with the home that it lay in, is not made anew: nothing more is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = False

    def frames(self, path: Path, max_frames: int, size: tuple[int, int]) -> Frames:
        """The candidate frames of a video (see `candidate_indices`), resized to `size`.

        The pixels are memory-mapped and read-only. Raises VideoError.
        """
        stem = self._folder / entry_key(path, max_frames, *size)
        pixels, places = stem.with_suffix(".pixels.npy"), stem.with_suffix(".places.npy")
        gone = self._is_gone()
        # One that another account has kept for itself is made anew, in its place.
        if not os.access(pixels, os.R_OK):
            indices = candidate_indices(probe(path).frames, max_frames)
            read = read_frames(path, indices, size)
            if gone:
                return read
            numbered = np.stack((read.indices.astype(np.float64), read.times))
            # The pixels come last: where they are, the entry is complete.
            save_whole(places, lambda file: np.save(file, numbered))
            save_whole(pixels, lambda file: np.save(file, read.pixels))
        numbers, times = np.load(places)
        return Frames(
            pixels=np.load(pixels, mmap_mode="r"), indices=numbers.astype(np.int64), times=times
        )

    def _is_gone(self) -> bool:
        there = self._folder.is_dir()
        gone, self._seen = self._seen and not there, True
        return gone


def entry_key(path: Path, *options: object) -> str:
    """Name of a cache entry: the video as it is on disk now, and how it was read.

    Raises VideoError where there is no such file.
    """
    resolved = path.resolve()
    try:
        stat = resolved.stat()
    except OSError as error:
        raise VideoError(path, error.strerror or "cannot be read") from error
    parts = [str(resolved), stat.st_size, stat.st_mtime_ns, *options]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def save_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that other processes see all of it or nothing; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with half.open("xb") as file:
            write(file)
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise
