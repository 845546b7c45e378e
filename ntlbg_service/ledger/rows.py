"""Rows of the database to records."""

from typing import Any

from sqlalchemy import Row

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.records import Attempt, Run


def run_of(row: Row[*tuple[Any, ...]]) -> Run:
    """A row of `runs` as the service sees it."""
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
        fits=tuple(parse(Fit, fit, f"ledger run {row.run_id}") for fit in row.fits),
        details=row.details,
        created_at=row.created_at,
        updated_at=row.updated_at,
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
    )
