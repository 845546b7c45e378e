"""The rows of a comparison. None stands for what was not measured or cannot be estimated."""

from collections.abc import Sequence
from dataclasses import dataclass

from ntlbg_model.config import Metric
from ntlbg_model.statistics import Estimate, PairedDifference
from ntlbg_service.domain.measures import Measure
from ntlbg_service.report.results import RunFacts

SIGNIFICANCE = 0.05
"""Level that a corrected p-value is held against."""


@dataclass(frozen=True, kw_only=True)
class FailedQuestion:
    """A question that one run could not answer; it counts as wrong."""

    question_id: str
    seed: int
    failure: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant on one data set."""

    variant: str
    dataset: str
    is_baseline: bool
    runs_finished: int
    runs_wanted: int
    judged: Estimate
    """What the suite is judged by, over questions, each the mean of its seeds, or over runs."""
    seed_values: tuple[tuple[int, float | None], ...]
    """Every wanted seed with its mean of that."""
    difference: PairedDifference | None
    """That minus the baseline's; None for the baseline itself."""
    corrected_p: float | None
    """The difference's p after Holm's correction over the whole group."""
    accuracy: Estimate
    needle_recall: Estimate
    categories: tuple[tuple[str, Estimate], ...]
    """Accuracy by the benchmark's category."""
    visual_tokens: float | None
    """Mean per answered question."""
    seconds: float | None
    """Median per answered question."""
    questions: int
    """Questions (or runs) that any finished run of the group has a value of; `judged` and
    `difference` say how many of them they rest on."""
    unscored: int
    """Questions whose answer the benchmark keeps secret; they enter no accuracy."""
    failed: tuple[FailedQuestion, ...]

    @property
    def complete(self) -> bool:
        """Whether every wanted run finished."""
        return self.runs_finished == self.runs_wanted

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below the level."""
        return self.corrected_p is not None and self.corrected_p < SIGNIFICANCE


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """What one run was and what it cost."""

    variant: str
    run: RunFacts


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """One group: its rows by data set and variant, and its runs."""

    name: str
    baseline: str
    measure: Measure
    """What the rows are judged by."""
    metrics: tuple[Metric, ...]
    """What is shown beside it."""
    rows: tuple[Row, ...]
    comparisons: int
    """Size of the family that p was corrected over."""
    numerics: tuple[str, ...]
    """Numerics classes of the finished runs."""
    runs: tuple[RunLine, ...]

    @property
    def mixed_numerics(self) -> bool:
        """Whether differences may come from arithmetic rather than from the variants."""
        return len(self.numerics) > 1

    def shows(self, metric: Metric) -> bool:
        """Whether a metric is shown, as what the rows are judged by or beside it."""
        return metric == self.measure.metric or metric in self.metrics

    @property
    def datasets(self) -> tuple[str, ...]:
        """In the order they are shown."""
        return tuple(dict.fromkeys(row.dataset for row in self.rows))

    @property
    def variants(self) -> tuple[str, ...]:
        """In the order they are shown."""
        return tuple(dict.fromkeys(row.variant for row in self.rows))

    def on(self, dataset: str) -> tuple[Row, ...]:
        """The rows of one data set."""
        return tuple(row for row in self.rows if row.dataset == dataset)

    def memory(self, variant: str) -> tuple[float | None, float | None]:
        """Largest predicted and largest measured peak of a variant's runs, in MiB."""
        runs = [line.run for line in self.runs if line.variant == variant]
        predicted = [run.predicted_memory_mib for run in runs]
        measured = [run.peak_memory_mib for run in runs]
        return _largest(predicted), _largest(measured)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a suite shows."""

    suite: str
    measure: Measure
    """What its groups are judged by."""
    groups: tuple[GroupComparison, ...]


def _largest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
