"""Reading the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select

from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.listing import in_pieces
from ntlbg_service.ledger.newest import among_newest
from ntlbg_service.ledger.records import Attempt, Event, InQueue, NewSuite, Run, Waiting
from ntlbg_service.ledger.rows import ATTEMPT, RUN, WAITING, attempt_of, run_of, waiting_of
from ntlbg_service.ledger.run_transitions import GOING
from ntlbg_service.ledger.tables import attempts, events, runs, suites
from ntlbg_service.ledger.transactions import Transactions


class Queries(Transactions):
    """What stands in the ledger."""

    def current_runs(self, suite_key: str) -> tuple[Run, ...]:
        """The newest run of every group, variant and seed of a suite, in submission order."""
        query = among_newest(select(*RUN), suite_key)
        return self._runs(query.order_by(runs.c.submission, runs.c.position))

    def queued(self, suite_key: str | None = None) -> tuple[Run, ...]:
        """Runs that wait, paused ones too: by priority, then in the order of submission."""
        query = select(*RUN).where(runs.c.state == RunState.QUEUED.value)
        if suite_key is not None:
            query = query.where(runs.c.suite_key == suite_key)
        order = (runs.c.priority.desc(), runs.c.created_at, runs.c.position)
        return self._runs(query.order_by(*order))

    def in_queue(self, now: float, suite_key: str | None = None) -> tuple[InQueue, ...]:
        """Runs that may start now: neither paused nor in the pause after a failure. In the order of
        `queued`."""
        query = select(runs.c.run_id, runs.c.priority, runs.c.updated_at).where(
            runs.c.state == RunState.QUEUED.value,
            runs.c.wanted == DesiredState.RUN.value,
            runs.c.not_before <= now,
        )
        if suite_key is not None:
            query = query.where(runs.c.suite_key == suite_key)
        query = query.order_by(runs.c.priority.desc(), runs.c.created_at, runs.c.position)
        with self._reading() as connection:
            return tuple(map(InQueue._make, connection.execute(query).all()))

    def waiting(self, run_ids: Sequence[str]) -> dict[str, Waiting]:
        """What a decision needs of these runs, by their ids; none for one that is not known."""
        found: dict[str, Waiting] = {}
        for some in in_pieces(run_ids):
            query = select(*WAITING).where(runs.c.run_id.in_(some))
            with self._reading() as connection:
                found |= {row.run_id: waiting_of(row) for row in connection.execute(query)}
        return found

    def runs(self, run_ids: Sequence[str]) -> dict[str, Run]:
        """These runs by their ids, in the order asked for; none for one that is not known."""
        found: dict[str, Run] = {}
        for some in in_pieces(run_ids):
            rows = self._runs(select(*RUN).where(runs.c.run_id.in_(some)))
            found |= {run.run_id: run for run in rows}
        return {run_id: found[run_id] for run_id in run_ids if run_id in found}

    def states(self, run_ids: Sequence[str]) -> dict[str, RunState]:
        """The states of those of these runs that there are."""
        found: dict[str, RunState] = {}
        for some in in_pieces(run_ids):
            query = select(runs.c.run_id, runs.c.state).where(runs.c.run_id.in_(some))
            with self._reading() as connection:
                found |= {row.run_id: RunState(row.state) for row in connection.execute(query)}
        return found

    def going(self, suite_key: str | None = None) -> bool:
        """Whether any run has not ended."""
        query = select(runs.c.run_id).where(runs.c.state.in_(GOING))
        if suite_key is not None:
            query = query.where(runs.c.suite_key == suite_key)
        with self._reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def suite_keys(self) -> tuple[str, ...]:
        """Every suite that was ever submitted."""
        with self._reading() as connection:
            found = connection.execute(select(suites.c.key).order_by(suites.c.created_at))
            return tuple(row.key for row in found)

    def submitters(self) -> dict[str, int]:
        """Whose runs there are, and how many of each user."""
        query = select(runs.c.submitter, func.count()).group_by(runs.c.submitter)
        with self._reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query.order_by(runs.c.submitter))}

    def owners_of_active(self) -> dict[str, tuple[str, str]]:
        """User and suite of each run that has an attempt whose end the ledger does not know yet."""
        query = (
            select(runs.c.run_id, runs.c.submitter, runs.c.suite_key)
            .join(attempts)
            .where(attempts.c.state == AttemptState.LAUNCHED.value)
        )
        with self._reading() as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute(query)}

    def suite(self, suite_key: str) -> NewSuite | None:
        """A suite as submitted last, and by whom first."""
        with self._reading() as connection:
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
        found = self._runs(select(*RUN).where(runs.c.run_id == run_id))
        if not found:
            raise KeyError(run_id)
        return found[0]

    def _runs(self, query: Any) -> tuple[Run, ...]:
        with self._reading() as connection:
            return tuple(run_of(row) for row in connection.execute(query))

    def active_attempts(self, suite_key: str | None = None) -> tuple[Attempt, ...]:
        """Attempts whose end the ledger does not know yet."""
        query = select(*ATTEMPT).where(attempts.c.state == AttemptState.LAUNCHED.value)
        if suite_key is not None:
            query = query.join(runs).where(runs.c.suite_key == suite_key)
        with self._reading() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query))

    def active_runs(self) -> dict[str, Run]:
        """The runs of the attempts whose end the ledger does not know yet, by their ids."""
        query = select(*RUN).join(attempts).where(attempts.c.state == AttemptState.LAUNCHED.value)
        return {run.run_id: run for run in self._runs(query)}

    def attempts_of(self, run_id: str) -> tuple[Attempt, ...]:
        """Every attempt of a run, oldest first."""
        return self.attempts_by_run([run_id])[run_id]

    def attempts_by_run(self, run_ids: Sequence[str]) -> Mapping[str, tuple[Attempt, ...]]:
        """Every attempt of each of these runs, oldest first."""
        found: dict[str, list[Attempt]] = {run_id: [] for run_id in run_ids}
        for some in in_pieces(run_ids):
            query = select(*ATTEMPT).where(attempts.c.run_id.in_(some)).order_by(attempts.c.number)
            with self._reading() as connection:
                for row in connection.execute(query):
                    found[row.run_id].append(attempt_of(row))
        return {run_id: tuple(each) for run_id, each in found.items()}

    def attempts_behind(self, runs: Sequence[Run]) -> Mapping[str, tuple[Attempt, ...]]:
        """Attempts from whose checkpoints each of these runs may go on, by its id: its own, and
        before them those of the run that it continues."""
        own = self.attempts_by_run([run.run_id for run in runs])
        before = {run.run_id: run.details.get("continues", "") for run in runs}
        continued = self.runs([run_id for run_id in before.values() if run_id])
        earlier = self.attempts_behind(list(continued.values())) if continued else {}
        return {run_id: earlier.get(before[run_id], ()) + own[run_id] for run_id in own}

    def trained_attempts(self, most: int) -> tuple[Attempt, ...]:
        """Attempts at a training that finished or ran out of memory, the newest first."""
        known = or_(
            attempts.c.state == AttemptState.FINISHED.value,
            attempts.c.failure == FailureClass.OUT_OF_MEMORY.value,
        )
        trains = runs.c.config["training"]["max_steps"].as_integer() > 0
        query = (
            select(*ATTEMPT)
            .join(runs)
            .where(known, trains, runs.c.work == Work.TRAIN.value)
            .order_by(attempts.c.ended_at.desc())
            .limit(most)
        )
        with self._reading() as connection:
            return tuple(attempt_of(row) for row in connection.execute(query))

    def events_of(self, run_id: str) -> tuple[Event, ...]:
        """What happened to a run and why, oldest first."""
        return self.events_by_run([run_id])[run_id]

    def events_by_run(self, run_ids: Sequence[str]) -> Mapping[str, tuple[Event, ...]]:
        """What happened to each of these runs and why, oldest first."""
        found: dict[str, list[Event]] = {run_id: [] for run_id in run_ids}
        for some in in_pieces(run_ids):
            query = select(events).where(events.c.run_id.in_(some)).order_by(events.c.id)
            with self._reading() as connection:
                for row in connection.execute(query):
                    event = Event(time=row.time, kind=row.kind, message=row.message, who=row.who)
                    found[row.run_id].append(event)
        return {run_id: tuple(each) for run_id, each in found.items()}
