"""How fast a training goes, from the times of its own metric lines."""

from collections.abc import Sequence

LOOKED_AT = 20
"""Metric lines, the newest: a run's pace changes with what else the machine does."""


def seconds_per_step(marks: Sequence[tuple[int, float]]) -> float | None:
    """Measured seconds of one step from (step, Unix time) of one attempt, oldest first.

    None where fewer than two different steps were seen, or the clock was set back between them.
    """
    recent = marks[-LOOKED_AT:]
    if len(recent) < 2:
        return None
    steps, seconds = (recent[-1][index] - recent[0][index] for index in (0, 1))
    return seconds / steps if steps > 0 and seconds > 0 else None


def seconds_left(step: int, steps: int, pace: float | None) -> float | None:
    """Until the last training step, by the measured pace; None where none was measured."""
    return None if pace is None else max(steps - step, 0) * pace
