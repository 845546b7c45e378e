"""The records every reader produces and every evaluation writes. Standard library only."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MOST = 2**31
"""Numbers of frames, options and tokens are below."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One multiple-choice question about one video."""

    question_id: str
    """Unique within its data set."""
    video_id: str
    video_path: Path
    question: str
    candidates: tuple[str, ...]
    """Option texts, without letters."""
    answer: int | None
    """0-based index into `candidates`; None where the benchmark keeps it secret."""
    category: str
    """The benchmark's question category."""
    positions: tuple[int, ...] = ()
    """Gold frame indices in the video's own numbering; empty where the benchmark has none."""
    duration: float | None = None
    """Seconds."""
    duration_group: int | None = None
    """LongVideoBench's 15, 60, 600 or 3600."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a run answered to one question, and what it saw. One JSON line in storage."""

    dataset: str
    question_id: str
    video_id: str
    category: str
    gold: int | None
    answer: int | None
    """Chosen option; None where the question failed."""
    correct: bool
    """A failed question is not correct."""
    failure: str | None = None
    """Why there is no answer, for example an unreadable video; None when answered."""
    frames: tuple[int, ...] = ()
    """Frame indices kept, ascending, in the video's own numbering."""
    gold_frames: tuple[int, ...] = ()
    """The question's `positions`."""
    needle_recall: float | None = None
    """Share of the gold moments (runs of consecutive gold frames) with at least one kept
    frame; None without gold positions."""
    visual_tokens: int = 0
    """Video tokens in the language model's input."""
    seconds: float = 0.0
    """Wall time from cached frames to the answer: selection, vision tower, language model."""
    scores: tuple[float, ...] = ()
    """Log-probability of each option."""

    def __post_init__(self) -> None:
        places = [place for place in (self.gold, self.answer) if place is not None]
        counts = (*places, self.visual_tokens, *self.frames, *self.gold_frames)
        if any(not 0 <= number < MOST for number in counts):
            raise ValueError(f"frames, options and tokens must be from 0 to {MOST - 1}")
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"seconds must be from 0, got {self.seconds}")
        if self.needle_recall is not None and not 0 <= self.needle_recall <= 1:
            raise ValueError(f"needle_recall must be from 0 to 1, got {self.needle_recall}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready mapping."""
        return asdict(self)
