"""Operations on the ledger. Each is one transaction; intent is written before any side effect."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.naming import RunName
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, RunState, check_transition
from ntlbg_service.domain.suite import changes
from ntlbg_service.ledger.outbox import Outbox
from ntlbg_service.ledger.records import (
    Attempt,
    Event,
    NewRun,
    NewSuite,
    Run,
    Submission,
    launch_id,
)
from ntlbg_service.ledger.rows import attempt_of, run_of
from ntlbg_service.ledger.tables import attempts, events, launches, runs, suites


class Ledger(Outbox):
    """The durable queue."""

    def now(self) -> float:
        """The ledger's clock, seconds since the epoch: what its times are measured by."""
        return self._clock()

    def submit(self, suite: NewSuite, new_runs: Sequence[NewRun]) -> Submission:
        """Make a suite's runs durable. The same runs again change nothing but their order."""
        fresh: list[str] = []
        known: list[str] = []
        changed: dict[str, tuple[str, ...]] = {}
        superseded: list[str] = []
        with self._transaction() as connection:
            self._save_suite(connection, suite)
            number = self._next_submission(connection, suite.key)
            for position, run in enumerate(new_runs):
                run_id = run.identity.run_id
                order = {"submission": number, "position": position}
                if self._exists(connection, run_id):
                    connection.execute(update(runs).where(runs.c.run_id == run_id).values(order))
                    known.append(run_id)
                    continue
                last = self._latest(connection, run)
                if last is not None:
                    changed[run_id] = tuple(changes(last.identity, run.identity))
                    if last.state == RunState.QUEUED:
                        self._set_state(
                            connection, last.run_id, RunState.CANCELLED, "superseded by a newer run"
                        )
                        superseded.append(last.run_id)
                self._insert_run(connection, suite.key, run, order)
                fresh.append(run_id)
        return Submission(
            new=tuple(fresh), known=tuple(known), changed=changed, superseded=tuple(superseded)
        )

    def _save_suite(self, connection: Connection, suite: NewSuite) -> None:
        values = {"name": suite.name, "description": suite.description, "spec": dict(suite.spec)}
        done = connection.execute(update(suites).where(suites.c.key == suite.key).values(values))
        if done.rowcount == 0:
            connection.execute(
                insert(suites).values(
                    key=suite.key,
                    submitter=suite.submitter,
                    created_at=self._clock(),
                    **values,
                )
            )

    def _next_submission(self, connection: Connection, suite_key: str) -> int:
        newest = select(func.max(runs.c.submission)).where(runs.c.suite_key == suite_key)
        return (connection.execute(newest).scalar() or 0) + 1

    def _exists(self, connection: Connection, run_id: str) -> bool:
        found = select(runs.c.run_id).where(runs.c.run_id == run_id)
        return connection.execute(found).first() is not None

    def _latest(self, connection: Connection, run: NewRun) -> Row[*tuple[Any, ...]] | None:
        identity = run.identity
        query = (
            select(runs.c.run_id, runs.c.identity, runs.c.state)
            .where(
                runs.c.suite_key == identity.suite,
                runs.c.group_name == identity.group,
                runs.c.variant == identity.variant,
                runs.c.seed == identity.seed,
            )
            .order_by(runs.c.submission.desc(), runs.c.created_at.desc())
        )
        return connection.execute(query).first()

    def _insert_run(
        self, connection: Connection, suite_key: str, run: NewRun, order: dict[str, int]
    ) -> None:
        now = self._clock()
        connection.execute(
            insert(runs).values(
                run_id=run.identity.run_id,
                suite_key=suite_key,
                work=run.work.value,
                group_name=run.identity.group,
                variant=run.identity.variant,
                seed=run.identity.seed,
                baseline=int(run.baseline),
                state=RunState.QUEUED.value,
                reason="",
                identity=asdict(run.identity),
                config=dict(run.config),
                fits=[asdict(fit) for fit in run.fits],
                details=dict(run.details),
                created_at=now,
                updated_at=now,
                **order,
            )
        )
        self._event(connection, run.identity.run_id, "submitted", "queued")

    def current_runs(self, suite_key: str) -> tuple[Run, ...]:
        """The newest run of every group, variant and seed of a suite, in submission order."""
        newest = (
            select(
                runs.c.group_name,
                runs.c.variant,
                runs.c.seed,
                func.max(runs.c.submission).label("submission"),
            )
            .where(runs.c.suite_key == suite_key)
            .group_by(runs.c.group_name, runs.c.variant, runs.c.seed)
            .subquery()
        )
        same = and_(
            runs.c.group_name == newest.c.group_name,
            runs.c.variant == newest.c.variant,
            runs.c.seed == newest.c.seed,
            runs.c.submission == newest.c.submission,
        )
        query = (
            select(runs)
            .join(newest, same)
            .where(runs.c.suite_key == suite_key)
            .order_by(runs.c.submission, runs.c.position)
        )
        return self._runs(query)

    def queued(self, suite_key: str | None = None) -> tuple[Run, ...]:
        """Runs that wait, in the order they were submitted."""
        query = select(runs).where(runs.c.state == RunState.QUEUED.value)
        if suite_key is not None:
            query = query.where(runs.c.suite_key == suite_key)
        return self._runs(query.order_by(runs.c.created_at, runs.c.position))

    def suite_keys(self) -> tuple[str, ...]:
        """Every suite that was ever submitted."""
        with self._transaction() as connection:
            found = connection.execute(select(suites.c.key).order_by(suites.c.created_at))
            return tuple(row.key for row in found)

    def names(self) -> tuple[RunName, ...]:
        """What every run is called, without configs and fits, in the order of submission."""
        columns = (
            runs.c.run_id,
            runs.c.suite_key.label("suite"),
            runs.c.group_name.label("group"),
            runs.c.variant,
            runs.c.seed,
            runs.c.submission,
        )
        query = select(*columns).order_by(runs.c.created_at, runs.c.position)
        with self._transaction() as connection:
            return tuple(RunName(**row) for row in connection.execute(query).mappings())

    def suite(self, suite_key: str) -> NewSuite | None:
        """A suite as submitted last."""
        with self._transaction() as connection:
            row = connection.execute(select(suites).where(suites.c.key == suite_key)).first()
        if row is None:
            return None
        return NewSuite(
            key=row.key,
            name=row.name,
            description=row.description,
            submitter=row.submitter,
            spec=row.spec,
        )

    def run(self, run_id: str) -> Run:
        """One run. Raises KeyError."""
        found = self._runs(select(runs).where(runs.c.run_id == run_id))
        if not found:
            raise KeyError(run_id)
        return found[0]

    def _runs(self, query: Any) -> tuple[Run, ...]:
        with self._transaction() as connection:
            return tuple(run_of(row) for row in connection.execute(query))

    def active_attempts(self, suite_key: str | None = None) -> tuple[Attempt, ...]:
        """Attempts whose end the ledger does not know yet."""
        query = select(attempts).where(attempts.c.state == AttemptState.LAUNCHED.value)
        if suite_key is not None:
            query = query.join(runs).where(runs.c.suite_key == suite_key)
        with self._transaction() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query))

    def attempts_of(self, run_id: str) -> tuple[Attempt, ...]:
        """Every attempt of a run, oldest first."""
        query = select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.number)
        with self._transaction() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query))

    def trained_attempts(self, most: int) -> tuple[Attempt, ...]:
        """Attempts at a training that finished or ran out of memory, the newest first."""
        known = or_(
            attempts.c.state == AttemptState.FINISHED.value,
            attempts.c.failure == FailureClass.OUT_OF_MEMORY.value,
        )
        trains = runs.c.config["training"]["max_steps"].as_integer() > 0
        query = (
            select(attempts)
            .join(runs)
            .where(known, trains, runs.c.work == Work.TRAIN.value)
            .order_by(attempts.c.ended_at.desc())
            .limit(most)
        )
        with self._transaction() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query))

    def events_of(self, run_id: str) -> tuple[Event, ...]:
        """What happened to a run and why, oldest first."""
        query = select(events).where(events.c.run_id == run_id).order_by(events.c.id)
        with self._transaction() as connection:
            return tuple(
                Event(time=row.time, kind=row.kind, message=row.message)
                for row in connection.execute(query)
            )

    def start_attempt(
        self, run: Run, fit: Fit, resume_from: str | None, executor: str, reason: str
    ) -> Attempt:
        """Write the intent to launch a new attempt; the executor is told afterwards."""
        with self._transaction() as connection:
            last = select(func.max(attempts.c.number)).where(attempts.c.run_id == run.run_id)
            number = (connection.execute(last).scalar() or 0) + 1
            now = self._clock()
            self._set_state(connection, run.run_id, RunState.RUNNING, "")
            connection.execute(
                insert(attempts).values(
                    run_id=run.run_id,
                    number=number,
                    state=AttemptState.LAUNCHED.value,
                    fit=asdict(fit),
                    resume_from=resume_from,
                    message="",
                    launched_at=now,
                )
            )
            connection.execute(
                insert(launches).values(
                    launch_id=launch_id(run.run_id, number),
                    run_id=run.run_id,
                    attempt=number,
                    executor=executor,
                    created_at=now,
                )
            )
            self._event(connection, run.run_id, "launched", f"attempt {number}: {reason}")
            self._post(connection, "run_started", run.suite_key, run.run_id)
        return self.attempts_of(run.run_id)[-1]

    def end_attempt(
        self,
        attempt: Attempt,
        state: AttemptState,
        run_state: RunState,
        *,
        failure: FailureClass | None = None,
        message: str = "",
        reason: str = "",
    ) -> None:
        """Close an attempt and move its run on, in one transaction."""
        with self._transaction() as connection:
            suite_key = self._set_state(connection, attempt.run_id, run_state, reason)
            connection.execute(
                update(attempts)
                .where(attempts.c.run_id == attempt.run_id, attempts.c.number == attempt.number)
                .values(
                    state=state.value,
                    failure=failure.value if failure else None,
                    message=message,
                    ended_at=self._clock(),
                )
            )
            words = f"attempt {attempt.number} {state}"
            detail = ": ".join(part for part in (words, message, reason) if part)
            self._event(connection, attempt.run_id, state.value, detail)
            topic = "run_finished" if run_state not in (RunState.QUEUED,) else "run_metrics"
            self._post(connection, topic, suite_key, attempt.run_id)

    def cancel(self, run_id: str, reason: str) -> None:
        """End a queued run."""
        with self._transaction() as connection:
            self._set_state(connection, run_id, RunState.CANCELLED, reason)

    def _set_state(self, connection: Connection, run_id: str, new: RunState, reason: str) -> str:
        query = select(runs.c.state, runs.c.suite_key).where(runs.c.run_id == run_id)
        row = connection.execute(query.with_for_update()).one()
        check_transition(RunState(row.state), new)
        connection.execute(
            update(runs)
            .where(runs.c.run_id == run_id, runs.c.state == row.state)
            .values(state=new.value, reason=reason, updated_at=self._clock())
        )
        if new is RunState.CANCELLED:
            self._event(connection, run_id, "cancelled", reason)
        return str(row.suite_key)

    def _event(self, connection: Connection, run_id: str, kind: str, message: str) -> None:
        connection.execute(
            insert(events).values(time=self._clock(), run_id=run_id, kind=kind, message=message)
        )
