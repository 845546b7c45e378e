"""What a rendered video contains: the options of a set, and the plan of one of its videos.

Lengths on the screen are fractions of the (square) frame, so that one plan can be rendered at any
resolution.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FPS = 8
"""Nominal frames a second of every rendered video: 512 frames last 64 s."""

Split = Literal["train", "clean", "glitch"]
GlitchKind = Literal["noise", "bars", "logo", "symbol"]


@dataclass(frozen=True, kw_only=True)
class NeedlesSpec:
    """One set of rendered videos. The same spec always gives the same bytes."""

    split: Split
    """train: looks outside `HELD_OUT`, no glitches. clean: held out looks only, no glitches.
    glitch: as clean, with irrelevant bursts that outnumber the representatives."""
    videos: int
    """Videos in the set, 1 to 100000."""
    frames: int = 512
    """Frames a video, 512 to 4096."""
    questions_per_video: int = 4
    """Questions asked of each video, 1 to 8. The types take turns; where a video has no further
    question of the type whose turn it is, it gets fewer."""
    seed: int = 0
    """Seed of the whole set, 0 or more. Video i depends on the seed, the split and i alone."""
    resolution: int = 112
    """Height and width in pixels, even, 56 to 448."""
    haystack: tuple[Path, ...] = ()
    """MP4 files of real footage that replace the drawn scenes; empty: drawn scenes."""

    def __post_init__(self) -> None:
        if self.split not in ("train", "clean", "glitch"):
            raise ValueError(f"split must be train, clean or glitch, got {self.split!r}")
        for name, low, high in (
            ("videos", 1, 100_000),
            ("frames", 512, 4096),
            ("questions_per_video", 1, 8),
            ("seed", 0, 2**63 - 1),
            ("resolution", 56, 448),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}, got {value}")
        if self.resolution % 2:
            raise ValueError(f"resolution must be even, got {self.resolution}")


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A moving distractor: a needle's shape and colour, without the dark box."""

    shape: str
    colour: str
    size: float
    """Side of the square that the glyph fills."""
    angle: float
    """Radians, anticlockwise."""
    x: float
    y: float
    """Centre at the scene's first frame."""
    vx: float
    vy: float
    """Movement a frame; it bounces off the edges."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Frames start..stop-1 before one background."""

    start: int
    stop: int
    background: str
    tilt: float
    """Direction of the brightness gradient, radians."""
    contrast: float
    """Brightness at the bright end of the gradient over the mean, less 1."""
    vx: float
    vy: float
    """Movement of the background's texture a frame."""
    texture: int
    """Seed of the background's texture."""
    actors: tuple[Actor, ...]


@dataclass(frozen=True, kw_only=True)
class Needle:
    """One flash: a glyph in a dark box for a few frames."""

    start: int
    length: int
    shape: str
    colour: str
    tint: tuple[int, int, int]
    """Jitter added to the colour's RGB."""
    x: float
    y: float
    """Centre of the box."""
    side: float
    """Side of the box."""
    fill: float
    """Side of the glyph's square over the box's."""
    angle: float
    """Radians, anticlockwise."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Indices of the frames that show it."""
        return tuple(range(self.start, self.start + self.length))


@dataclass(frozen=True, kw_only=True)
class Glitch:
    """An irrelevant burst: rare, bright, and of no use to any question."""

    start: int
    length: int
    kind: GlitchKind
    seed: int


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """Everything that `render` and `questions` need to know about one video."""

    spec: NeedlesSpec
    index: int
    """Number of the video in its set."""
    scenes: tuple[Scene, ...]
    """Ascending and gapless; empty where the background is footage."""
    needles: tuple[Needle, ...]
    """Ascending in time, at least 4 frames apart. A shape has one colour throughout."""
    glitches: tuple[Glitch, ...]
    counted: str | None
    """Shape that the count question asks about (it may never flash); None: all flashes."""
    noise: int
    """Seed of the sensor noise, and of the stretch of footage."""

    @property
    def video_id(self) -> str:
        """Name of the video, and stem of its file."""
        return f"{self.spec.split}-{self.spec.seed}-{self.index:05d}"

    @property
    def frames(self) -> int:
        """Frames of the video."""
        return self.spec.frames
