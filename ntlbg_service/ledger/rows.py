"""Rows of the database to records."""

from typing import Any

from sqlalchemy import Row

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.states import AttemptState, RunState, Wanted
from ntlbg_service.ledger.records import Attempt, Measured, OutboxEntry, Run


def run_of(row: Row[*tuple[Any, ...]]) -> Run:
    """A row of `runs` as the service sees it."""
    source = f"ledger run {row.run_id}"
    return Run(
        run_id=row.run_id,
        suite_key=row.suite_key,
        work=Work(row.work),
        group=row.group_name,
        variant=row.variant,
        seed=row.seed,
        baseline=bool(row.baseline),
        state=RunState(row.state),
        reason=row.reason,
        identity=row.identity,
        config=row.config,
        fits=tuple(parse(Fit, fit, source) for fit in row.fits),
        details=row.details,
        created_at=row.created_at,
        updated_at=row.updated_at,
        priority=row.priority,
        wanted=Wanted(row.wanted),
        not_before=row.not_before,
        excluded=tuple(row.excluded),
        next_fit=None if row.next_fit is None else parse(Fit, row.next_fit, source),
        max_hours=row.max_hours,
        submitter=row.submitter,
    )


def attempt_of(row: Row[*tuple[Any, ...]]) -> Attempt:
    """A row of `attempts` as the service sees it."""
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        state=AttemptState(row.state),
        fit=parse(Fit, row.fit, f"ledger attempt {row.run_id}/{row.number}"),
        resume_from=row.resume_from,
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
        id=row.id, topic=row.topic, suite_key=row.suite_key, run_id=row.run_id, posts=row.posts
    )
