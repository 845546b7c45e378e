"""The end of an attempt, and what its run becomes.

A controller ends many in one step, so it takes many at once, in one transaction. Rows of runs are
locked in the order of their ids: two that want several never wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import (
    TERMINAL,
    AttemptState,
    DesiredState,
    RunState,
    TransitionError,
    check_transition,
)
from ntlbg_service.ledger.records import Attempt, End, Measured
from ntlbg_service.ledger.rows import fit_values
from ntlbg_service.ledger.run_transitions import RunTransitions, Transition
from ntlbg_service.ledger.tables import attempts, runs
from ntlbg_service.ledger.transactions import kept


class Ending(RunTransitions):
    """Ending attempts."""

    def end_attempt(
        self,
        attempt: Attempt,
        state: AttemptState,
        run_state: RunState,
        *,
        failure: FailureClass | None = None,
        message: str = "",
        reason: str = "",
        next_fit: Fit | None = None,
        not_before: float = 0.0,
        exclude: Sequence[str] = (),
        measured: Measured | None = None,
    ) -> RunState:
        """Close one attempt; says what its run became."""
        end = End(
            attempt=attempt,
            state=state,
            run_state=run_state,
            failure=failure,
            message=message,
            reason=reason,
            next_fit=next_fit,
            not_before=not_before,
            exclude=exclude,
            measured=measured or Measured(),
        )
        return self.end_attempts([end])[0]

    def end_attempts(self, ends: Sequence[End]) -> tuple[RunState, ...]:
        """Close attempts of different runs and move their runs on; says what each run became.

        A run that would go back to the queue while somebody wants it cancelled is cancelled.
        Raises TransitionError, and writes nothing, where one of the attempts has ended already.
        """
        ids = [end.attempt.run_id for end in ends]
        with self._writing() as connection:
            now = self._clock()
            held = {row.run_id: row for row in connection.execute(_held(ids))}
            became = []
            for end in ends:
                row = held[end.attempt.run_id]
                cancel = end.run_state is RunState.QUEUED and row.wanted == DesiredState.CANCEL
                became.append(RunState.CANCELLED if cancel else end.run_state)
                check_transition(RunState(row.state), became[-1])
            self._close(connection, ends, now)
            _move(connection, ends, became, {run_id: held[run_id].excluded for run_id in ids}, now)
            self._events(connection, _ended(ends, became))
            self._note_moves(connection, _moves(ends, became, held))
            suite_of = {run_id: str(held[run_id].suite_key) for run_id in ids}
            again = [each is RunState.QUEUED for each in became]
            for topic, which in (("run_metrics", True), ("run_finished", False)):
                told = [run_id for run_id, is_so in zip(ids, again, strict=True) if is_so is which]
                self._post_runs(connection, topic, {run_id: suite_of[run_id] for run_id in told})
            over = [run_id for run_id, each in zip(ids, became, strict=True) if each in TERMINAL]
            self._post_suite_ends(connection, {suite_of[run_id] for run_id in over})
        return tuple(became)

    def _close(self, connection: Connection, ends: Sequence[End], now: float) -> None:
        active = select(attempts.c.run_id, attempts.c.number).where(
            attempts.c.run_id.in_([end.attempt.run_id for end in ends]),
            attempts.c.state == AttemptState.LAUNCHED.value,
        )
        found = {(row.run_id, row.number) for row in connection.execute(active)}
        for end in ends:
            if (end.attempt.run_id, end.attempt.number) not in found:
                run_id, number = end.attempt.run_id, end.attempt.number
                raise TransitionError(f"attempt {number} of run {run_id} has ended")
        mine = (attempts.c.run_id == bindparam("of"), attempts.c.number == bindparam("nth"))
        connection.execute(
            update(attempts).where(*mine),
            [
                {
                    "of": end.attempt.run_id,
                    "nth": end.attempt.number,
                    "state": end.state.value,
                    "failure": end.failure.value if end.failure else None,
                    "message": kept(end.message),
                    "ended_at": now,
                    **asdict(end.measured),
                }
                for end in ends
            ],
        )


def _held(run_ids: Sequence[str]) -> Select[Any]:
    """What ending an attempt needs of its run, whose row is held from now on."""
    columns = (runs.c.run_id, runs.c.suite_key, runs.c.state, runs.c.wanted, runs.c.excluded)
    query = select(*columns).where(runs.c.run_id.in_(run_ids)).order_by(runs.c.run_id)
    return query.with_for_update()


def _move(
    connection: Connection,
    ends: Sequence[End],
    became: Sequence[RunState],
    excluded: Mapping[str, Sequence[str]],
    now: float,
) -> None:
    mine = update(runs).where(runs.c.run_id == bindparam("of"))
    plain: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for end, state in zip(ends, became, strict=True):
        run_id = end.attempt.run_id
        values = {
            "of": run_id,
            "state": state.value,
            "reason": kept(end.reason),
            "updated_at": now,
            "not_before": end.not_before,
            "excluded": list(dict.fromkeys([*excluded[run_id], *end.exclude])),
        }
        if end.next_fit is None:
            plain.append(values)
        else:
            changed.append(values | {"next_fit": fit_values(end.next_fit)})
    for rows in (plain, changed):
        if rows:
            connection.execute(mine, rows)


def _moves(
    ends: Sequence[End], became: Sequence[RunState], held: Mapping[str, Row[*tuple[Any, ...]]]
) -> list[Transition]:
    rows = [held[end.attempt.run_id] for end in ends]
    return [
        Transition(str(row.suite_key), row.run_id, RunState(row.state), state, end.reason)
        for end, state, row in zip(ends, became, rows, strict=True)
    ]


def _ended(ends: Sequence[End], became: Sequence[RunState]) -> list[tuple[str, str, str]]:
    """The events of attempts that ended."""
    told = []
    for end, state in zip(ends, became, strict=True):
        words = f"attempt {end.attempt.number} {end.state}"
        detail = ": ".join(part for part in (words, end.message, end.reason) if part)
        told.append((end.attempt.run_id, end.state.value, detail))
        if state is RunState.CANCELLED:
            told.append((end.attempt.run_id, "cancelled", end.reason))
    return told
