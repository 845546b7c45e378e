"""The shape in which models without a fixed one take a frame. Standard library only.

A token is a cell of 2 x 2 patches. Sides are rounded to whole cells, then scaled where there are
too many pixels or too few. The limits are those of the published checkpoints.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

CELL = 2
"""Patches along a side of a token."""
_LONGEST = 200
"""Times that a frame may be longer than it is wide."""


@dataclass(frozen=True, kw_only=True)
class PixelLimits:
    """VideoLLaMA 3 (arXiv:2501.13106): the least of a frame, and the most of a video, in shares
    of which no frame has more."""

    PATCH: ClassVar[int] = 14
    """Pixels along a side of a patch."""
    TOGETHER: ClassVar[int] = 1
    """Frames in one patch."""

    least: int = 16 * 28**2
    """Pixels."""
    most: int = 16384 * 28**2
    """Pixels."""

    @property
    def side(self) -> int:
        """Pixels along a side of a token."""
        return self.PATCH * CELL

    def cells(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """Tokens down and across each of `frames` frames of `height` x `width` pixels.

        Raises ValueError where one side is too long for the other.
        """
        return self._scaled(1, height, width, self.most // frames)

    def _scaled(self, frames: int, height: int, width: int, most: int) -> tuple[int, int]:
        """With `frames` frames held against the limits together."""
        if max(height, width) > _LONGEST * min(height, width):
            raise ValueError(f"frames of {height} x {width}: a side is over {_LONGEST} the other")
        side = self.side
        down, across = round(height / side), round(width / side)
        pixels = frames * down * across * side**2
        if pixels > most:
            scale = math.sqrt(frames * height * width / most)
            down = max(1, math.floor(height / scale / side))
            across = max(1, math.floor(width / scale / side))
        elif pixels < self.least:
            scale = math.sqrt(self.least / (frames * height * width))
            down = math.ceil(height * scale / side)
            across = math.ceil(width * scale / side)
        return down, across


@dataclass(frozen=True, kw_only=True)
class PairPixelLimits(PixelLimits):
    """Qwen3-VL (arXiv:2511.21631): the least and the most of a video, two frames to a token."""

    PATCH: ClassVar[int] = 16
    TOGETHER: ClassVar[int] = 2

    least: int = 4 * 32**2
    most: int = 24576 * 32**2

    def cells(self, frames: int, height: int, width: int) -> tuple[int, int]:
        small = max(self.side / height, self.side / width)
        if small > 1:
            height, width = int(height * small), int(width * small)
        return self._scaled(frames, height, width, self.most)
