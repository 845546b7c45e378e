"""Attempts: the intent to start one, written before anyone is told, and its end."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select, update

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import TERMINAL, AttemptState, RunState, TransitionError, Wanted
from ntlbg_service.ledger.lives import Lives
from ntlbg_service.ledger.records import Attempt, Measured, Run, launch_id
from ntlbg_service.ledger.rows import attempt_of
from ntlbg_service.ledger.tables import attempts, launches, runs
from ntlbg_service.ledger.transactions import kept


class Trying(Lives):
    """Starting and ending attempts."""

    def start_attempt(
        self,
        run: Run,
        fit: Fit,
        resume_from: str | None,
        executor: str,
        reason: str,
        nodes: Sequence[str] = (),
    ) -> Attempt:
        """Write the intent to launch a new attempt; the executor is told afterwards.

        Raises TransitionError where the run waits no more.
        """
        key = attempts.c.run_id == run.run_id
        with self._writing() as connection:
            self._set_state(connection, run.run_id, RunState.RUNNING, "")
            last = connection.execute(select(func.max(attempts.c.number)).where(key)).scalar()
            number = (last or 0) + 1
            connection.execute(
                insert(attempts).values(
                    run_id=run.run_id,
                    number=number,
                    state=AttemptState.LAUNCHED.value,
                    fit=asdict(fit),
                    resume_from=resume_from,
                    message="",
                    launched_at=self._clock(),
                    nodes=list(nodes),
                )
            )
            self._launch(connection, run.run_id, number, executor)
            self._event(connection, run.run_id, "launched", f"attempt {number}: {reason}")
            self._post(connection, "run_started", run.suite_key, run.run_id)
            mine = select(attempts).where(key, attempts.c.number == number)
            return attempt_of(connection.execute(mine).one())

    def _launch(self, connection: Connection, run_id: str, number: int, executor: str) -> None:
        connection.execute(
            insert(launches).values(
                launch_id=launch_id(run_id, number),
                run_id=run_id,
                attempt=number,
                executor=executor,
                created_at=self._clock(),
            )
        )

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
        """Close an attempt and move its run on, in one transaction; says what the run became.

        A run that would go back to the queue while somebody wants it cancelled is cancelled.
        `next_fit`: what the next attempt runs with; None keeps what was so far. `exclude`: nodes
        added to those that the run does not go to again. Raises TransitionError where the attempt
        ended already.
        """
        with self._writing() as connection:
            suite_key, becomes = self._move(connection, attempt.run_id, run_state, reason)
            self._close(connection, attempt, state, failure, message, measured or Measured())
            self._set_next(connection, attempt.run_id, next_fit, not_before, exclude)
            words = f"attempt {attempt.number} {state}"
            detail = ": ".join(part for part in (words, message, reason) if part)
            self._event(connection, attempt.run_id, state.value, detail)
            if becomes is RunState.CANCELLED:
                self._event(connection, attempt.run_id, "cancelled", reason)
            topic = "run_metrics" if becomes is RunState.QUEUED else "run_finished"
            self._post(connection, topic, suite_key, attempt.run_id)
            if becomes in TERMINAL:
                self._post_suite_end(connection, suite_key)
        return becomes

    def _move(
        self, connection: Connection, run_id: str, new: RunState, reason: str
    ) -> tuple[str, RunState]:
        query = select(runs.c.wanted).where(runs.c.run_id == run_id)
        wanted = connection.execute(query.with_for_update()).scalar_one()
        if new is RunState.QUEUED and wanted == Wanted.CANCEL:
            new = RunState.CANCELLED
        return self._set_state(connection, run_id, new, reason), new

    def _close(
        self,
        connection: Connection,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass | None,
        message: str,
        measured: Measured,
    ) -> None:
        done = connection.execute(
            update(attempts)
            .where(
                attempts.c.run_id == attempt.run_id,
                attempts.c.number == attempt.number,
                attempts.c.state == AttemptState.LAUNCHED.value,
            )
            .values(
                state=state.value,
                failure=failure.value if failure else None,
                message=kept(message),
                ended_at=self._clock(),
                **asdict(measured),
            )
        )
        if done.rowcount == 0:
            raise TransitionError(f"attempt {attempt.number} of run {attempt.run_id} has ended")

    def _set_next(
        self,
        connection: Connection,
        run_id: str,
        next_fit: Fit | None,
        not_before: float,
        exclude: Sequence[str],
    ) -> None:
        mine = runs.c.run_id == run_id
        excluded = connection.execute(select(runs.c.excluded).where(mine)).scalar_one()
        values = {
            "not_before": not_before,
            "excluded": list(dict.fromkeys([*excluded, *exclude])),
        }
        if next_fit is not None:
            values["next_fit"] = asdict(next_fit)
        connection.execute(update(runs).where(mine).values(values))
