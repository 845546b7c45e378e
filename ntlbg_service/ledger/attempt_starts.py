"""The intent to start an attempt, written before anyone is told.

A controller starts many in one step, so it takes many at once, in one transaction. Rows of runs are
locked in the order of their ids: two that want several never wait for each other.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.records import Attempt, NewAttempt, launch_id
from ntlbg_service.ledger.rows import fit_values
from ntlbg_service.ledger.run_transitions import RunTransitions, Transition
from ntlbg_service.ledger.tables import attempts, launches, runs


class AttemptStarts(RunTransitions):
    """Starting attempts."""

    def start_attempts(self, wanted: Sequence[NewAttempt]) -> tuple[Attempt, ...]:
        """Write the intents to launch new attempts, of different runs; the executor is told
        afterwards. Those of runs that wait no more are left out."""
        with self._writing() as connection:
            now = self._clock()
            suite_of = self._waiting(connection, [new.run_id for new in wanted])
            begun = [new for new in wanted if new.run_id in suite_of]
            if not begun:
                return ()
            ids = list(suite_of)
            values = {"state": RunState.RUNNING.value, "reason": "", "updated_at": now}
            connection.execute(update(runs).where(runs.c.run_id.in_(ids)).values(values))
            last = self._last_numbers(connection, ids)
            made = tuple(_attempt(new, last.get(new.run_id, 0) + 1, now) for new in begun)
            connection.execute(insert(attempts), [_row(attempt) for attempt in made])
            connection.execute(
                insert(launches),
                [_launch(attempt, new.executor) for attempt, new in zip(made, begun, strict=True)],
            )
            self._events(
                connection,
                [
                    (attempt.run_id, "launched", f"attempt {attempt.number}: {new.reason}")
                    for attempt, new in zip(made, begun, strict=True)
                ],
            )
            self._post_runs(connection, "run_started", suite_of)
            before, after = RunState.QUEUED, RunState.RUNNING
            moves = [Transition(key, run_id, before, after, "") for run_id, key in suite_of.items()]
            self._note_moves(connection, moves)
        return made

    def _waiting(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, str]:
        """The suites of those of these runs that wait, whose rows are held from now on."""
        query = (
            select(runs.c.run_id, runs.c.suite_key)
            .where(runs.c.run_id.in_(run_ids), runs.c.state == RunState.QUEUED.value)
            .order_by(runs.c.run_id)
            .with_for_update()
        )
        return {row.run_id: row.suite_key for row in connection.execute(query)}

    def _last_numbers(self, connection: Connection, run_ids: Sequence[str]) -> dict[str, int]:
        query = (
            select(attempts.c.run_id, func.max(attempts.c.number).label("number"))
            .where(attempts.c.run_id.in_(run_ids))
            .group_by(attempts.c.run_id)
        )
        return {row.run_id: row.number for row in connection.execute(query)}


def _attempt(new: NewAttempt, number: int, now: float) -> Attempt:
    return Attempt(
        run_id=new.run_id,
        number=number,
        state=AttemptState.LAUNCHED,
        fit=new.fit,
        resume_from=new.resume_from,
        failure=None,
        message="",
        launched_at=now,
        ended_at=None,
        nodes=new.nodes,
    )


def _row(attempt: Attempt) -> dict[str, Any]:
    return {
        "run_id": attempt.run_id,
        "number": attempt.number,
        "state": attempt.state.value,
        "fit": fit_values(attempt.fit),
        "resume_from": attempt.resume_from,
        "message": attempt.message,
        "launched_at": attempt.launched_at,
        "nodes": list(attempt.nodes),
    }


def _launch(attempt: Attempt, executor: str) -> dict[str, Any]:
    return {
        "launch_id": launch_id(attempt.run_id, attempt.number),
        "run_id": attempt.run_id,
        "attempt": attempt.number,
        "executor": executor,
        "created_at": attempt.launched_at,
    }
