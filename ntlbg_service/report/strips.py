"""Which frames each variant kept for a question, as a timeline and thumbnails."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SHOWN = 16
"""Thumbnails of one variant; the timeline marks every kept frame."""


@dataclass(frozen=True, kw_only=True)
class KeptFrames:
    """What one variant kept of the video, and what it answered."""

    answer: int | None
    """Chosen option; None where the question failed."""
    frames: tuple[int, ...]
    """Kept frame indices, ascending, in the video's own numbering."""
    thumbnails: Mapping[int, NDArray[np.uint8]] = field(default_factory=dict)
    """By frame index: height x width x 3, RGB. Not every kept frame needs one."""


@dataclass(frozen=True, kw_only=True)
class FrameStrip:
    """One question and the frames that each variant kept for it."""

    dataset: str
    question_id: str
    question: str
    candidates: tuple[str, ...]
    gold: int | None
    """Right option; None where the benchmark keeps it secret."""
    gold_frames: tuple[int, ...]
    """Frames that show the answer; empty where the benchmark has none."""
    total_frames: int
    """Frames of the video."""
    variants: Mapping[str, KeptFrames]


@dataclass(frozen=True)
class Span:
    """A stretch of the timeline, in percent of its length."""

    start: float
    width: float


@dataclass(frozen=True)
class Thumbnail:
    """One kept frame as an image that needs no file."""

    frame: int
    gold: bool
    source: str
    """A data URL."""


@dataclass(frozen=True, kw_only=True)
class StripRow:
    """One variant of a strip, ready to be drawn."""

    variant: str
    answer: str
    verdict: str
    """right, wrong, failed, or answered where the answer is secret."""
    kept: tuple[tuple[float, bool], ...]
    """Position in percent of each kept frame, and whether it is a gold one."""
    thumbnails: tuple[Thumbnail, ...]
    summary: str
    """The row in words, for who cannot see it."""


@dataclass(frozen=True, kw_only=True)
class StripView:
    """A strip, ready to be drawn."""

    strip: FrameStrip
    options: tuple[str, ...]
    answer: str
    moments: tuple[Span, ...]
    """Runs of consecutive gold frames."""
    rows: tuple[StripRow, ...]


def strip_view(strip: FrameStrip) -> StripView:
    """Positions, images and words of one strip."""
    return StripView(
        strip=strip,
        options=tuple(_option(strip, place) for place in range(len(strip.candidates))),
        answer=_option(strip, strip.gold) if strip.gold is not None else "secret",
        moments=tuple(
            Span(_position(first, strip), 100 * (last - first + 1) / strip.total_frames)
            for first, last in moments(strip.gold_frames)
        ),
        rows=tuple(_row(strip, name, kept) for name, kept in strip.variants.items()),
    )


def moments(frames: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last frame of each run of consecutive frames."""
    runs: list[tuple[int, int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return runs


def shown_frames(kept: KeptFrames, gold: set[int]) -> list[int]:
    """At most `SHOWN` kept frames with a thumbnail: gold ones first, the rest evenly spaced."""
    available = [frame for frame in kept.frames if frame in kept.thumbnails]
    hits = [frame for frame in available if frame in gold][:SHOWN]
    rest = [frame for frame in available if frame not in gold]
    room = min(SHOWN - len(hits), len(rest))
    spaced = [rest[place * len(rest) // room] for place in range(room)]
    return sorted(hits + spaced)


def _row(strip: FrameStrip, name: str, kept: KeptFrames) -> StripRow:
    gold = set(strip.gold_frames)
    hit = sum(any(first <= f <= last for f in kept.frames) for first, last in moments(tuple(gold)))
    seen = f"{hit} of {len(moments(tuple(gold)))} gold moments seen" if gold else "no gold moments"
    return StripRow(
        variant=name,
        answer="no answer" if kept.answer is None else _option(strip, kept.answer),
        verdict=_verdict(strip.gold, kept.answer),
        kept=tuple((_position(frame, strip), frame in gold) for frame in kept.frames),
        thumbnails=tuple(
            Thumbnail(frame, frame in gold, _data_url(kept.thumbnails[frame]))
            for frame in shown_frames(kept, gold)
        ),
        summary=f"{len(kept.frames)} frames kept, {seen}",
    )


def _verdict(gold: int | None, answer: int | None) -> str:
    if answer is None:
        return "failed"
    if gold is None:
        return "answered"
    return "right" if answer == gold else "wrong"


def _option(strip: FrameStrip, place: int) -> str:
    return f"{LETTERS[place]}. {strip.candidates[place]}"


def _position(frame: int, strip: FrameStrip) -> float:
    return 100 * frame / strip.total_frames


def _data_url(image: NDArray[np.uint8]) -> str:
    file = BytesIO()
    imsave(file, image, format="jpg", pil_kwargs={"quality": 80})
    return "data:image/jpeg;base64," + b64encode(file.getvalue()).decode()
