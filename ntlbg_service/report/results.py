"""Input of the report: the results of a suite's runs from storage."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ntlbg_model.config import Metric
from ntlbg_model.records import Prediction
from ntlbg_service.domain.measures import MEASURES

FINISHED = "finished"
"""Run state whose results are compared."""


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """Facts of one run without its predictions. None means 'not measured'."""

    run_id: str
    seed: int
    state: str
    """State of the run in the ledger."""
    message: str = ""
    """Reason that the run is not finished, in one line."""
    profile: str | None = None
    """Kind of GPU it ran on."""
    numerics: str | None = None
    """Numerics class: fp32, bf16 or fp16."""
    fit: str | None = None
    """Summary of how it ran, for example 'bf16, micro-batch 2 x 16, checkpointing'."""
    predicted_memory_mib: float | None = None
    peak_memory_mib: float | None = None
    train_seconds: float | None = None
    loss_curve: tuple[tuple[int, float], ...] = ()
    """Optimizer step and training loss."""
    damaged: tuple[str, ...] = ()
    """Objects of its attempt that cannot be read, in words."""

    @property
    def finished(self) -> bool:
        """True if its results are compared."""
        return self.state == FINISHED


@dataclass(frozen=True, kw_only=True)
class RunResult(RunFacts):
    """One variant with one seed."""

    predictions: Mapping[str, tuple[Prediction, ...]] = field(default_factory=dict)
    """Predictions by data set."""


@dataclass(frozen=True, kw_only=True)
class VariantResult:
    """One named row of a group, with a run for every seed that the suite wants."""

    name: str
    runs: tuple[RunResult, ...]
    datasets: tuple[str, ...] = ()
    """Expected evaluation sets; those with predictions are found without this list."""
    metrics: tuple[Metric, ...] = tuple(MEASURES)
    """Metrics that are shown."""


@dataclass(frozen=True, kw_only=True)
class GroupResult:
    """Variants that are compared with one declared baseline."""

    name: str
    baseline: str
    """Name of one of the variants."""
    variants: tuple[VariantResult, ...]


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """All results of a suite."""

    name: str
    groups: tuple[GroupResult, ...]
    metric: Metric = "accuracy"
    """Metric that the groups are compared by."""
