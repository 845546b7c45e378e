"""The shape in which VideoLLaMA 3 takes a frame (arXiv:2501.13106). Standard library only.

A token is a cell of 2 x 2 patches. Sides are rounded to whole cells, then scaled where the video
has too many pixels or a frame too few; the limit of a video is shared by its frames. The limits
are those of the published checkpoints.
"""

import math
from dataclasses import dataclass

PATCH = 14
"""Pixels along a side of a patch."""
CELL = 2
"""Patches along a side of a token."""
FACTOR = PATCH * CELL
_LONGEST = 200
"""Times that a frame may be longer than it is wide."""


@dataclass(frozen=True, kw_only=True)
class PixelLimits:
    """How many pixels the vision tower is given."""

    frame: int = 16 * FACTOR**2
    """The least of a frame."""
    video: int = 16384 * FACTOR**2
    """The most of a video."""

    def cells(self, frames: int, height: int, width: int) -> tuple[int, int]:
        """Tokens down and across each of `frames` frames of `height` x `width` pixels.

        Raises ValueError where one side is too long for the other.
        """
        if max(height, width) > _LONGEST * min(height, width):
            raise ValueError(f"frames of {height} x {width}: a side is over {_LONGEST} the other")
        most = self.video // frames
        down, across = round(height / FACTOR), round(width / FACTOR)
        pixels = down * across * FACTOR**2
        if pixels > most:
            scale = math.sqrt(height * width / most)
            down = max(1, math.floor(height / scale / FACTOR))
            across = max(1, math.floor(width / scale / FACTOR))
        elif pixels < self.frame:
            scale = math.sqrt(self.frame / (height * width))
            down = math.ceil(height * scale / FACTOR)
            across = math.ceil(width * scale / FACTOR)
        return down, across
