"""What variants and trials are judged by, and which way is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ntlbg_model.config import Metric
from ntlbg_service.domain.launch import ExitRecord


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A metric with all that its numbers mean."""

    metric: Metric
    words: str
    """What people call it."""
    unit: str
    """'%' for shares, whose differences are points."""
    lower_is_better: bool = False
    by_run: bool = False
    """One value a run, not one a question."""

    def score(self, record: ExitRecord, weights: Mapping[str, float]) -> float | None:
        """What a run came to: its own value, or the mean over evaluation sets by their `weights`.
        None where it did not finish, or measured nothing of it."""
        if not record.finished:
            return None
        if self.by_run:
            return record.peak_memory_mib
        values = {name: record.results.get(f"{name}/{self.metric}") for name in weights}
        measured = {
            name: value
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        }
        whole = sum(weights[name] for name in measured)
        if not measured:
            return None
        return sum(weights[name] * value for name, value in measured.items()) / whole

    @property
    def is_share(self) -> bool:
        """Whether its values are shares of 1."""
        return self.unit == "%"

    def best(self, scores: Mapping[str, float]) -> str:
        """Name of the best of `scores`; of equals, the first."""
        return (min if self.lower_is_better else max)(scores, key=lambda name: scores[name])


_ALL = (
    Measure(metric="accuracy", words="accuracy", unit="%"),
    Measure(metric="needle_recall", words="needle recall", unit="%"),
    Measure(
        metric="visual_tokens",
        words="visual tokens per question",
        unit="tokens",
        lower_is_better=True,
    ),
    Measure(
        metric="seconds_per_question", words="time per question", unit="s", lower_is_better=True
    ),
    Measure(
        metric="peak_memory_mib",
        words="peak memory",
        unit="MiB",
        lower_is_better=True,
        by_run=True,
    ),
)
MEASURES: Mapping[Metric, Measure] = {measure.metric: measure for measure in _ALL}
