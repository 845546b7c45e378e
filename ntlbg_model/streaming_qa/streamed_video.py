"""What one pass over a video leaves behind: enough for any number of questions about it."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ntlbg_model.config import PAIR
from ntlbg_model.data.stream import FrameBlock, blocks
from ntlbg_model.data.timeline import FrameTimeline, Indices, VideoError, scan
from ntlbg_model.data.video import candidate_indices, decode_frames, entry_key, save_whole
from ntlbg_model.selection.features import pair_statistics
from ntlbg_model.streaming_qa.stages import Stages

KEPT_BYTES = 64 * 1024**2
"""All candidate frames of a video are kept where they are no more than this."""

Progress = Callable[[int, int], None]
"""Told frames read and frames in all, once a block."""

REMEMBERED = 4
"""Videos held in memory, the last ones used."""


@dataclass(frozen=True, kw_only=True)
class WatchedVideo:
    """The statistics of a video's candidate pairs, and its frames where they are small."""

    path: Path
    timeline: FrameTimeline
    candidates: Indices
    """[n] frame indices, in the video's own numbering."""
    statistics: Tensor
    """[n // 2, d], see `pair_statistics`."""
    frames: npt.NDArray[np.uint8] | None
    """[n, height, width, 3] RGB, or None where they are too many to keep."""
    size: tuple[int, int]
    """Height and width that frames are resized to."""

    def pixels(self, pairs: Tensor) -> Tensor:
        """Frames uint8 [k, 2, height, width, 3] of candidate `pairs` [k], ascending.

        Decodes them, from the nearest keyframes, where they were not kept. Raises VideoError.
        """
        places = (PAIR * pairs[:, None] + torch.arange(PAIR)).flatten().numpy()
        if self.frames is None:
            targets = self.candidates[places]
            found = decode_frames(self.path, self.timeline, targets, self.size)
        else:
            found = self.frames[places]
        return torch.from_numpy(found).view(-1, PAIR, *self.size, 3)


def watch(
    path: Path,
    max_frames: int,
    size: tuple[int, int],
    stages: Stages,
    kept_bytes: int = KEPT_BYTES,
    progress: Progress | None = None,
) -> WatchedVideo:
    """One pass over the candidate frames of a video at `size`. Raises VideoError.

    Beside a block of frames at a time it holds 800 bytes a pair, and the frames themselves where
    all of them are at most `kept_bytes`.
    """
    with stages.timed("decoding"):
        timeline = scan(path)
    candidates = np.array(candidate_indices(len(timeline.shown), max_frames), np.int64)
    if len(candidates) < PAIR:
        raise VideoError(path, f"a video needs at least {PAIR} frames, this has one")
    small = len(candidates) * size[0] * size[1] * 3 <= kept_bytes
    frames = np.empty((len(candidates), *size, 3), np.uint8) if small else None
    stream = blocks(path, timeline, candidates, size)
    if progress is not None:
        stream = _told(stream, progress, len(candidates))
    statistics = summarise(stream, stages, frames)
    return WatchedVideo(
        path=path,
        timeline=timeline,
        candidates=candidates,
        statistics=statistics,
        frames=frames,
        size=size,
    )


def _told(stream: Iterable[FrameBlock], progress: Progress, total: int) -> Iterator[FrameBlock]:
    for block in stream:
        progress(block.start + len(block.pixels), total)
        yield block
        del block


def summarise(
    stream: Iterable[FrameBlock], stages: Stages, keep: npt.NDArray[np.uint8] | None = None
) -> Tensor:
    """Statistics [pairs, d] of a stream of frames, held a block at a time; copies go to `keep`."""
    parts: list[Tensor] = []
    waiting = iter(stream)
    while True:
        with stages.timed("decoding"):
            block = next(waiting, None)
            if block is None:
                return torch.cat(parts)
            if keep is not None:
                keep[block.start : block.start + len(block.pixels)] = block.pixels
        with stages.timed("features"):
            parts.append(pair_statistics(torch.from_numpy(block.pixels)))
        del block


class WatchedVideos:
    """Videos watched before: the last few in memory, and all of them in a folder if there is one.

    A changed file (size or modification time) is another video. Files appear complete or not at
    all, so several processes may share the folder; nothing is ever removed from it.
    """

    def __init__(self, folder: Path | None = None, kept_bytes: int = KEPT_BYTES) -> None:
        self._folder = folder
        self._kept_bytes = kept_bytes
        self._held: dict[str, WatchedVideo] = {}

    def get(
        self,
        path: Path,
        max_frames: int,
        size: tuple[int, int],
        stages: Stages,
        progress: Progress | None = None,
    ) -> tuple[str, WatchedVideo]:
        """The video, watched now if it never was, and its key. Raises VideoError."""
        key = entry_key(path, "watched", max_frames, *size, self._kept_bytes)
        watched = self._held.pop(key, None) or self._load(key, path, size)
        if watched is None:
            watched = watch(path, max_frames, size, stages, self._kept_bytes, progress)
            self._save(key, watched)
        self._held[key] = watched
        while len(self._held) > REMEMBERED:
            del self._held[next(iter(self._held))]
        return key, watched

    def _save(self, key: str, watched: WatchedVideo) -> None:
        if self._folder is None:
            return
        line = watched.timeline
        frames = np.empty(0, np.uint8) if watched.frames is None else watched.frames
        save_whole(
            self._folder / f"{key}.npz",
            lambda file: np.savez(
                file,
                shown=line.shown,
                keys=line.keys,
                entries=line.entries,
                shape=np.array([line.base, line.width, line.height]),
                candidates=watched.candidates,
                statistics=watched.statistics.numpy(),
                frames=frames,
            ),
        )

    def _load(self, key: str, path: Path, size: tuple[int, int]) -> WatchedVideo | None:
        stored = None if self._folder is None else self._folder / f"{key}.npz"
        if stored is None or not os.access(stored, os.R_OK):
            return None
        with np.load(stored) as arrays:
            base, width, height = arrays["shape"].tolist()
            return WatchedVideo(
                path=path,
                timeline=FrameTimeline(
                    shown=arrays["shown"],
                    keys=arrays["keys"],
                    entries=arrays["entries"],
                    base=base,
                    width=int(width),
                    height=int(height),
                ),
                candidates=arrays["candidates"],
                statistics=torch.from_numpy(arrays["statistics"]),
                frames=arrays["frames"] if arrays["frames"].size else None,
                size=size,
            )
