"""What attempts held of the GPUs, read without configs and fits."""

from typing import Any

from sqlalchemy import Row, or_, select

from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.domain.usage import AttemptInterval, Origin
from ntlbg_service.ledger.tables import attempts, runs
from ntlbg_service.ledger.transactions import Transactions
from ntlbg_service.storage.layout import place_of


class Holding(Transactions):
    """Who held how many GPUs, from when to when."""

    def attempt_intervals(self, since: float | None = None) -> tuple[AttemptInterval, ...]:
        """Every attempt that had not ended before `since`, Unix time, oldest first."""
        fit = attempts.c.fit
        query = select(
            *(attempts.c.run_id, attempts.c.number, attempts.c.state, attempts.c.failure),
            *(attempts.c.launched_at, attempts.c.ended_at, attempts.c.resume_from),
            attempts.c.finished_steps,
            fit["workers"].as_integer().label("workers"),
            fit["share"].as_float().label("share"),
        )
        # Not joined: an index holds all of this, and a run's row is kilobytes of configs.
        owners = select(runs.c.run_id, runs.c.submitter, runs.c.suite_key, runs.c.state)
        if since is not None:
            query = query.where(or_(attempts.c.ended_at.is_(None), attempts.c.ended_at > since))
        order = (attempts.c.launched_at, attempts.c.run_id, attempts.c.number)
        with self._reading() as connection:
            of = {row.run_id: row for row in connection.execute(owners)}
            rows = connection.execute(query.order_by(*order))
            return tuple(_spell_of(row, of[row.run_id]) for row in rows)


def _spell_of(row: Row[*tuple[Any, ...]], run: Row[*tuple[Any, ...]]) -> AttemptInterval:
    place = place_of(row.resume_from) if row.resume_from else None
    return AttemptInterval(
        run_id=row.run_id,
        number=row.number,
        user=run.submitter,
        suite=run.suite_key,
        run_state=RunState(run.state),
        state=AttemptState(row.state),
        failure=FailureClass(row.failure) if row.failure else None,
        gpus=row.workers * (1.0 if row.share is None else row.share),
        started=row.launched_at,
        ended=row.ended_at,
        origin=Origin(*place) if place else None,
        steps=row.finished_steps,
    )
