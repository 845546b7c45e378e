"""What is read of a video."""

from dataclasses import dataclass
from typing import ClassVar

from ntlbg_model.config.checks import STRICT, above, at_least, between, check

PAIR = 2
"""Qwen2-VL's vision tower fuses two consecutive frames into one temporal patch."""


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """What is read of a video, and how many of its frames the language model sees."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    max_frames: int = 4096
    """Candidate frames; a longer video is sampled uniformly down to this many."""
    num_representatives: int | None = None
    """Frames kept (K). null: by the coverage rule below. The caps below apply either way."""
    coverage_ratio: float = 0.125
    """Share of the candidate frames that become representatives."""
    min_representatives: int = 16
    """Least number of representatives; where the cap below is smaller, the cap wins."""
    max_representatives_ratio: float = 0.5
    """Most representatives, as a share of the candidate frames."""
    representative_alignment: int = 8
    """K is rounded down to a multiple of this."""
    frame_resolution: tuple[int, int] = (224, 224)
    """Height and width in pixels that each kept frame is resized to; multiples of 28."""

    def __post_init__(self) -> None:
        at_least("max_frames", self.max_frames, PAIR)
        if self.num_representatives is not None:
            at_least("num_representatives", self.num_representatives, PAIR)
            check(
                self.num_representatives <= self.max_frames,
                f"num_representatives must not exceed max_frames ({self.max_frames}), "
                f"got {self.num_representatives}",
            )
        above("coverage_ratio", self.coverage_ratio, 0)
        between("coverage_ratio", self.coverage_ratio, 0, 1)
        at_least("min_representatives", self.min_representatives, PAIR)
        above("max_representatives_ratio", self.max_representatives_ratio, 0)
        between("max_representatives_ratio", self.max_representatives_ratio, 0, 1)
        at_least("representative_alignment", self.representative_alignment, PAIR)
        check(
            self.representative_alignment % PAIR == 0,
            f"representative_alignment must be even (frames are kept in adjacent pairs), "
            f"got {self.representative_alignment}",
        )
        for side in self.frame_resolution:
            check(
                side >= 28 and side % 28 == 0,
                f"frame_resolution must be multiples of 28 (patch 14, merged 2 x 2), got {side}",
            )

    def candidates(self, frames: int) -> int:
        """Candidate frames of a video of `frames` frames."""
        return min(frames, self.max_frames)

    def representatives(self, frames: int) -> int:
        """K for a video of `frames` frames: the one rule that every selection method obeys.

        max(min_representatives, floor(coverage x n)), then at most max_representatives_ratio x n,
        then down to a multiple of the alignment. Under `min_representatives` candidate frames,
        all of them (down to an even number, since frames are kept in pairs).
        """
        n = self.candidates(frames)
        if n < self.min_representatives:
            return n - n % PAIR
        wanted = self.num_representatives
        if wanted is None:
            wanted = max(self.min_representatives, int(n * self.coverage_ratio))
        capped = min(wanted, int(n * self.max_representatives_ratio))
        aligned = capped // self.representative_alignment * self.representative_alignment
        return aligned if aligned else max(PAIR, capped - capped % PAIR)
