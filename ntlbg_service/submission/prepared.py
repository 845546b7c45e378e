"""Prepared suites: planned, with their data present and every run supported by the runner."""

from dataclasses import dataclass, replace

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant
from ntlbg_service.ledger.records import NewRun, NewSuite


@dataclass(frozen=True)
class Prepared:
    """A suite ready for submission: planned, its data present, nothing refused."""

    suite: NewSuite
    runs: tuple[NewRun, ...]
    plan: Plan
    skipped: tuple[str, ...] = ()
    """Points of a sweep that are skipped, each with its reason."""


def as_built(row: PlannedVariant, fits: tuple[Fit, ...]) -> PlannedVariant:
    """Return the row with its supported `fits`; if none is, with the unsupported options named."""
    if row.refusal is not None:
        return row
    built = tuple(fit for fit in fits if fit.unsupported is None)
    lacking = tuple(dict.fromkeys(fit.unsupported for fit in fits if fit.unsupported is not None))
    return replace(row, fits=built) if built else replace(row, unsupported=lacking)
