"""What can be submitted: planned, its data present, and what the runner can run."""

from dataclasses import dataclass, replace

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant
from ntlbg_service.ledger.records import NewRun, NewSuite


@dataclass(frozen=True)
class Prepared:
    """A suite ready to be submitted: planned, its data present, nothing refused."""

    suite: NewSuite
    runs: tuple[NewRun, ...]
    plan: Plan
    skipped: tuple[str, ...] = ()
    """Points of a sweep that are not tried, each with its reason."""


def as_built(row: PlannedVariant, fits: tuple[Fit, ...]) -> PlannedVariant:
    """A row with those of its `fits` that the runner can run; refused by name where it has none."""
    if row.refusal is not None:
        return row
    built = tuple(fit for fit in fits if fit.unsupported is None)
    lacking = tuple(dict.fromkeys(fit.unsupported for fit in fits if fit.unsupported is not None))
    return replace(row, fits=built) if built else replace(row, unsupported=lacking)
