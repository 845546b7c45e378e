"""What people want of runs: noted durably, made so by the controller."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.run_identity import Identity
from ntlbg_service.domain.states import TERMINAL, DesiredState, RunState
from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.operators import Operators
from ntlbg_service.ledger.run_transitions import RunTransitions
from ntlbg_service.ledger.tables import attempts, runs, suites

KEPT = (
    "suite_key",
    "work",
    "group_name",
    "variant",
    "seed",
    "baseline",
    "config",
    "fits",
    "details",
    "priority",
    "max_hours",
    "submitter",
)
"""What a repetition has from the run that it repeats."""


class Wishes(RunTransitions, Operators):
    """Cancelling, pausing, resuming, moving and repeating runs: one's own, or as an operator.

    Each raises NotAllowedError for another's run, and changes nothing.
    """

    def request(self, run_id: str, wanted: DesiredState, who: str) -> RunState:
        """Note what a person wants of a run; says the state that it is in then.

        A queued run that is to be cancelled is cancelled at once; what runs is stopped by the
        controller. The last wish counts; the same again changes nothing. Raises KeyError for an
        unknown run, UserError where it ended another way.
        """
        with self._writing() as connection:
            announce(connection)
            row = self._held(connection, run_id, who, wanted.verb)
            state = RunState(row.state)
            if state in TERMINAL:
                return _as_wished(run_id, state, wanted)
            if row.wanted == wanted:
                return state
            connection.execute(
                update(runs).where(runs.c.run_id == run_id).values(wanted=wanted.value)
            )
            if wanted is DesiredState.CANCEL and state is RunState.QUEUED:
                suite_key = self._cancel(connection, run_id, f"by {who}", who)
                self._post_suite_end(connection, suite_key)
                return RunState.CANCELLED
            self._event(connection, run_id, "requested", f"{wanted} by {who}", who)
            return state

    def prioritise(self, run_id: str, priority: int, who: str) -> int:
        """Give a run another priority; says which it had. The same again changes nothing.

        Raises KeyError for an unknown run, UserError for one that ended.
        """
        with self._writing() as connection:
            announce(connection)
            row = self._held(connection, run_id, who, "move")
            if RunState(row.state) in TERMINAL:
                raise UserError(f"run {run_id} has ended: {row.state}")
            before = int(row.priority)
            if priority != before:
                mine = update(runs).where(runs.c.run_id == run_id)
                connection.execute(mine.values(priority=priority))
                words = f"priority {before} -> {priority} by {who}"
                self._event(connection, run_id, "requested", words, who)
            return before

    def requeue(
        self,
        run_id: str,
        who: str,
        priority: int | None = None,
        max_hours: float | None = None,
    ) -> str:
        """Queue a repetition of an ended run; says its id. The ended run stays as it is.

        It belongs to whom the ended one belongs, whoever asks for it. `priority` and `max_hours`
        are as before where they are None. What ended because its hours
        were used is gone on with: its repetition starts from its checkpoint. A repetition that did
        not end yet is not repeated: its id is given. Raises KeyError for an unknown run, UserError
        for one that did not end.
        """
        with self._writing() as connection:
            announce(connection)
            self._hold_suite(connection, run_id)
            row = self._held(connection, run_id, who, "repeat")
            if RunState(row.state) not in TERMINAL:
                raise UserError(f"run {run_id} is {row.state}; only an ended run is repeated")
            newest, identity = self._newest(connection, row)
            if RunState(newest.state) not in TERMINAL:
                return str(newest.run_id)
            changed = {"priority": priority, "max_hours": max_hours}
            more = {name: value for name, value in changed.items() if value is not None}
            return self._repeat(connection, newest, identity, who, more)

    def _newest(
        self, connection: Connection, row: Row[*tuple[Any, ...]]
    ) -> tuple[Row[*tuple[Any, ...]], Identity]:
        """The last of a run's repetitions and the identity of one more."""
        while True:
            values = dict(row.identity)
            following = Identity(**values | {"repetition": values["repetition"] + 1})
            query = select(runs).where(runs.c.run_id == following.run_id)
            found = connection.execute(query.with_for_update()).first()
            if found is None:
                return row, following
            row = found

    def _repeat(
        self,
        connection: Connection,
        row: Row[*tuple[Any, ...]],
        identity: Identity,
        who: str,
        more: Mapping[str, Any],
    ) -> str:
        newest = select(func.max(runs.c.submission)).where(runs.c.suite_key == row.suite_key)
        submission = connection.execute(newest).scalar_one() + 1
        kept: Mapping[str, Any] = {name: getattr(row, name) for name in KEPT}
        if self._used_its_hours(connection, row.run_id):
            more = {**more, "details": {**row.details, "continues": row.run_id}}
        order = {"submission": submission, "position": row.position}
        self._add(connection, [identity], [{**kept, **more, **order}])
        words = f"repeats {row.run_id}, by {who}"
        self._event(connection, identity.run_id, "submitted", words, who)
        return identity.run_id

    def _used_its_hours(self, connection: Connection, run_id: str) -> bool:
        last = (
            select(attempts.c.failure)
            .where(attempts.c.run_id == run_id)
            .order_by(attempts.c.number.desc())
        )
        return bool(connection.execute(last.limit(1)).scalar() == FailureClass.TIME_LIMIT)

    def _hold_suite(self, connection: Connection, run_id: str) -> None:
        """Let no submission of the run's suite come between."""
        mine = select(runs.c.suite_key).where(runs.c.run_id == run_id).scalar_subquery()
        connection.execute(select(suites.c.key).where(suites.c.key == mine).with_for_update())

    def _held(
        self, connection: Connection, run_id: str, who: str, doing: str
    ) -> Row[*tuple[Any, ...]]:
        """A run's row until the end of the transaction, for who may do that to it."""
        query = select(runs).where(runs.c.run_id == run_id).with_for_update()
        row = connection.execute(query).first()
        if row is None:
            raise KeyError(run_id)
        self._check_owner(connection, who, row.submitter, f"run {run_id}", doing)
        return row


def _as_wished(run_id: str, state: RunState, wanted: DesiredState) -> RunState:
    if (state, wanted) == (RunState.CANCELLED, DesiredState.CANCEL):
        return state
    raise UserError(f"run {run_id} has ended: {state}")
