"""Rows of the database to records."""

import json
from dataclasses import fields
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, Text, cast

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse, with_current_names
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.records import Attempt, Measured, OutboxEntry, Run, RunSummary, Waiting
from ntlbg_service.ledger.tables import attempts, runs
from ntlbg_service.storage.layout import key_of_checkpoint

SHAPES = 4096
"""Distinct fits that are kept read; a queue has a few hundred."""


def _as_text(table: Table, *names: str) -> tuple[ColumnElement[Any], ...]:
    """All columns of a table, these as the text that stands there."""
    return tuple(
        cast(column, Text).label(column.name) if column.name in names else column
        for column in table.columns
    )


RUN = _as_text(runs, "fits", "next_fit")
"""Columns of `run_of`. Many runs have the same fits, whose text is read once."""
SUMMARY = tuple(
    column
    for column in runs.columns
    if column.name not in ("baseline", "identity", "config", "fits", "details", "next_fit")
    and column.name not in ("submission", "position")
)
"""Columns of `summary_of`."""
ATTEMPT = _as_text(attempts, "fit")
"""Columns of `attempt_of`."""
WAITING = (
    *(runs.c.run_id, runs.c.suite_key, runs.c.group_name, runs.c.variant, runs.c.seed),
    *(runs.c.submitter, runs.c.priority, runs.c.created_at, runs.c.excluded),
    *(cast(runs.c.fits, Text).label("fits"), cast(runs.c.next_fit, Text).label("next_fit")),
)
"""Columns of `waiting_of`."""


@lru_cache(maxsize=SHAPES)
def _fit_of(text: str) -> Fit:
    return parse(Fit, json.loads(text), "ledger: a fit")


@lru_cache(maxsize=SHAPES)
def _fits_of(text: str) -> tuple[Fit, ...]:
    """The same object for the same text: the scheduler takes runs that share it for alike."""
    return tuple(parse(Fit, fit, "ledger: a fit") for fit in json.loads(text))


def fit_values(fit: Fit) -> dict[str, Any]:
    """A fit as JSON values; no copy, for it is written at once."""
    return {part.name: getattr(fit, part.name) for part in fields(fit)}


def run_of(row: Row[*tuple[Any, ...]]) -> Run:
    """A row of `RUN` as the service sees it."""
    return Run(
        **_summary(row),
        baseline=bool(row.baseline),
        identity=row.identity,
        config=with_current_names(row.config),
        fits=_fits_of(row.fits),
        details=row.details,
        next_fit=None if row.next_fit is None else _fit_of(row.next_fit),
    )


def summary_of(row: Row[*tuple[Any, ...]]) -> RunSummary:
    """A row of `SUMMARY` as the service sees it."""
    return RunSummary(**_summary(row))


def _summary(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    return {
        "run_id": row.run_id,
        "suite_key": row.suite_key,
        "work": Work(row.work),
        "group": row.group_name,
        "variant": row.variant,
        "seed": row.seed,
        "state": RunState(row.state),
        "reason": row.reason,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "priority": row.priority,
        "wanted": DesiredState(row.wanted),
        "not_before": row.not_before,
        "excluded": tuple(row.excluded),
        "max_hours": row.max_hours,
        "submitter": row.submitter,
    }


def waiting_of(row: Row[*tuple[Any, ...]]) -> Waiting:
    """A row of `WAITING` as the scheduler sees it."""
    return Waiting(
        run_id=row.run_id,
        suite_key=row.suite_key,
        group=row.group_name,
        variant=row.variant,
        seed=row.seed,
        submitter=row.submitter,
        priority=row.priority,
        submitted=row.created_at,
        excluded=tuple(row.excluded),
        fits=_fits_of(row.fits if row.next_fit is None else f"[{row.next_fit}]"),
    )


def attempt_of(row: Row[*tuple[Any, ...]]) -> Attempt:
    """A row of `ATTEMPT` as the service sees it."""
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        state=AttemptState(row.state),
        fit=_fit_of(row.fit),
        # Older rows have an absolute path, of where the home lay at that time.
        resume_from=key_of_checkpoint(row.resume_from) if row.resume_from else None,
        failure=FailureClass(row.failure) if row.failure else None,
        message=row.message,
        launched_at=row.launched_at,
        ended_at=row.ended_at,
        nodes=tuple(row.nodes),
        measured=Measured(
            peak_mib=row.peak_mib,
            seconds_per_step=row.seconds_per_step,
            finished_steps=row.finished_steps,
        ),
    )


def entry_of(row: Row[*tuple[Any, ...]]) -> OutboxEntry:
    """A row of `outbox` as the service sees it."""
    return OutboxEntry(
        id=row.id,
        topic=row.topic,
        suite_key=row.suite_key,
        run_id=row.run_id,
        posts=row.posts,
        tries=row.tries,
        error=row.error,
        refused_at=row.refused_at,
    )
