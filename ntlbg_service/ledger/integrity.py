"""Whether a ledger is sound: what its rows must agree on, and what SQLite says of its file."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, select, text

from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.outbox import WAITING
from ntlbg_service.ledger.schema import HEAD, revision
from ntlbg_service.ledger.tables import attempts, launches, notices, outbox, runs


@dataclass(frozen=True, kw_only=True)
class IntegrityReport:
    """What a check found."""

    schema: str | None
    """None in an empty database."""
    runs: dict[str, int]
    """Number by state."""
    unsent: int
    """What MLflow was not told yet."""
    refused: int = 0
    """What MLflow refused, and is set aside."""
    notices: int = 0
    """What no receiver was told yet."""
    problems: tuple[str, ...]
    """Each in one line; none in a sound ledger."""


def check(engine: Engine) -> IntegrityReport:
    """Look at a ledger; changes nothing. Raises InfrastructureError for a newer schema."""
    with engine.connect() as connection:
        schema = revision(connection)
        if schema != HEAD:
            words = "there is no ledger yet" if schema is None else f"schema {schema}, not {HEAD}"
            return IntegrityReport(schema=schema, runs={}, unsent=0, problems=(words,))
        states = select(runs.c.state, func.count()).group_by(runs.c.state).order_by(runs.c.state)
        waiting = select(func.count()).select_from(outbox).where(*WAITING)
        refused = select(func.count()).where(outbox.c.refused_at.is_not(None))
        return IntegrityReport(
            schema=schema,
            runs={row[0]: row[1] for row in connection.execute(states)},
            unsent=connection.execute(waiting).scalar_one(),
            refused=connection.execute(refused).scalar_one(),
            notices=connection.execute(select(func.count()).select_from(notices)).scalar_one(),
            problems=(*_file(connection), *_active(connection), *_newest(connection)),
        )


def _file(connection: Connection) -> Iterator[str]:
    if connection.dialect.name != "sqlite":
        return
    for (line,) in connection.execute(text("PRAGMA integrity_check")):
        if line != "ok":
            yield f"SQLite: {line}"
    for row in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"table {row[0]}, row {row[1]}: refers to a row of {row[2]} that is not there"


def _active(connection: Connection) -> Iterator[str]:
    """A run has one active attempt while it is running, and none else."""
    active = attempts.c.state == AttemptState.LAUNCHED.value
    counted = (
        select(runs.c.run_id, runs.c.state, func.count(attempts.c.number).label("active"))
        .outerjoin(attempts, (attempts.c.run_id == runs.c.run_id) & active)
        .group_by(runs.c.run_id, runs.c.state)
    )
    for row in connection.execute(counted):
        if row.active != (row.state == RunState.RUNNING):
            yield f"run {row.run_id}: is {row.state} with {row.active} active attempts"
    untold = (
        select(attempts.c.run_id, attempts.c.number)
        .outerjoin(
            launches,
            (launches.c.run_id == attempts.c.run_id) & (launches.c.attempt == attempts.c.number),
        )
        .where(launches.c.launch_id.is_(None))
    )
    for row in connection.execute(untold):
        yield f"run {row.run_id}: attempt {row.number} has no launch"


def _newest(connection: Connection) -> Iterator[str]:
    """What a finished run shows is its newest attempt's, which has finished."""
    newest = (
        select(attempts.c.run_id, func.max(attempts.c.number).label("number"))
        .group_by(attempts.c.run_id)
        .subquery()
    )
    query = (
        select(runs.c.run_id, attempts.c.state)
        .outerjoin(newest, newest.c.run_id == runs.c.run_id)
        .outerjoin(
            attempts,
            (attempts.c.run_id == newest.c.run_id) & (attempts.c.number == newest.c.number),
        )
        .where(runs.c.state == RunState.FINISHED.value)
    )
    for row in connection.execute(query):
        if row.state != AttemptState.FINISHED:
            yield f"run {row.run_id}: has finished, its newest attempt is {row.state or 'missing'}"
