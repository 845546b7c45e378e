"""Frames of a video one after another: memory does not grow with the video's length."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ntlbg_model.data.timeline import FrameTimeline, Indices, VideoError, opened, passes

Picture = npt.NDArray[np.uint8]
"""[height, width, 3] RGB."""

BLOCK = 64
"""Frames that a block holds, even: adjacent pairs stay together."""


@dataclass(frozen=True, kw_only=True)
class FrameBlock:
    """Consecutive candidate frames of a video."""

    start: int
    """Place of the first among the candidates."""
    pixels: npt.NDArray[np.uint8]
    """[n, height, width, 3] RGB, n at most the block's size."""


def decoded(
    path: Path, timeline: FrameTimeline, targets: Indices, size: tuple[int, int]
) -> Iterator[Picture]:
    """Frames `targets` (ascending, distinct), each resized to `size` (height, width), in order.

    Seeks to keyframes where the targets are sparse. Raises VideoError where one does not decode.
    """
    from av.video.reformatter import VideoReformatter

    if not len(targets):
        return
    height, width = size
    resize = VideoReformatter()
    with opened(path) as (container, stream):
        for entry, part in passes(timeline, targets):
            container.seek(entry, stream=stream)
            waiting = iter(part.tolist())
            target = next(waiting)
            for frame in container.decode(stream):
                shown = timeline.shown[target]
                if frame.pts is None or frame.pts < shown:
                    continue
                if frame.pts > shown:
                    break
                if frame.is_corrupt:
                    raise VideoError(path, f"frame {target} is corrupt")
                small = resize.reformat(frame, width, height, "rgb24", interpolation="AREA")
                yield np.asarray(small.to_ndarray(), np.uint8)
                target = next(waiting, None)
                if target is None:
                    break
            if target is not None:
                raise VideoError(path, f"frame {target} does not decode")


def blocks(
    path: Path,
    timeline: FrameTimeline,
    candidates: Indices,
    size: tuple[int, int],
    block: int = BLOCK,
) -> Iterator[FrameBlock]:
    """Candidate frames, `block` at a time, in one pass over the file. Raises VideoError."""
    if block < 2 or block % 2:
        raise ValueError(f"a block must hold whole pairs, got {block} frames")
    pictures = decoded(path, timeline, candidates, size)
    for start in range(0, len(candidates), block):
        held = min(block, len(candidates) - start)
        pixels = np.empty((held, *size, 3), np.uint8)
        for place in range(held):
            pixels[place] = next(pictures)
        yield FrameBlock(start=start, pixels=pixels)
