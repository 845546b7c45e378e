"""A run's changes of state: the one place where they are made."""

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from ntlbg_service.domain.notice import state_of_suite
from ntlbg_service.domain.run_identity import Identity
from ntlbg_service.domain.states import TERMINAL, RunState, check_transition
from ntlbg_service.ledger.newest import among_newest
from ntlbg_service.ledger.notices import Notices
from ntlbg_service.ledger.outbox import Outbox
from ntlbg_service.ledger.tables import attempts, runs
from ntlbg_service.ledger.transactions import kept

GOING = tuple(state.value for state in RunState if state not in TERMINAL)
"""States of runs that have not ended."""


class Transition(NamedTuple):
    """A run's change of state."""

    suite_key: str
    run_id: str
    before: RunState
    after: RunState
    reason: str


class RunTransitions(Outbox, Notices):
    """Changing the state of runs."""

    def cancel(self, run_id: str, reason: str) -> None:
        """End a queued run. Raises TransitionError where it is not queued."""
        with self._writing() as connection:
            self._post_suite_end(connection, self._cancel(connection, run_id, reason))

    def _cancel(self, connection: Connection, run_id: str, reason: str, who: str = "") -> str:
        suite_key = self._set_state(connection, run_id, RunState.CANCELLED, reason)
        self._event(connection, run_id, "cancelled", reason, who)
        tried = select(attempts.c.number).where(attempts.c.run_id == run_id)
        if connection.execute(tried).first() is not None:
            self._post(connection, "run_finished", suite_key, run_id)
        return suite_key

    def _post_suite_end(self, connection: Connection, suite_key: str) -> None:
        """Note that a suite has ended where this transaction ends the last of its runs."""
        self._post_suite_ends(connection, {suite_key})

    def _post_suite_ends(self, connection: Connection, suite_keys: Set[str]) -> None:
        """The same for those of several that have ended, in the order of their keys."""
        for suite_key in sorted(suite_keys):
            going = select(runs.c.run_id).where(
                runs.c.suite_key == suite_key, runs.c.state.in_(GOING)
            )
            if connection.execute(going.limit(1)).first() is None:
                self._post(connection, "suite_finished", suite_key, None)
                if self._passes_on(connection):
                    self._note_suite_end(connection, suite_key)

    def _note_suite_end(self, connection: Connection, suite_key: str) -> None:
        query = among_newest(select(runs.c.state, func.count()), suite_key)
        found = connection.execute(query.group_by(runs.c.state).order_by(runs.c.state))
        counts = {row[0]: row[1] for row in found}
        content = {"state": state_of_suite(counts).value, "runs": counts}
        self._note(connection, [(suite_key, None, content)])

    def _note_moves(self, connection: Connection, moves: Sequence[Transition]) -> None:
        """Keep changes of state for receivers, where there are any."""
        if not moves or not self._passes_on(connection):
            return
        told = [
            (
                move.suite_key,
                move.run_id,
                {"state": move.after.value, "before": move.before.value, "reason": move.reason},
            )
            for move in moves
        ]
        self._note(connection, told)

    def _add(
        self,
        connection: Connection,
        identities: Sequence[Identity],
        values: Sequence[Mapping[str, Any]],
    ) -> None:
        """New runs, queued; all of them with values for the same columns."""
        now = self._clock()
        rows = [
            {
                "run_id": identity.run_id,
                "identity": identity.values,
                "state": RunState.QUEUED.value,
                "reason": "",
                **{"created_at": now, "updated_at": now, **each},
            }
            for identity, each in zip(identities, values, strict=True)
        ]
        connection.execute(insert(runs), rows)

    def _set_state(self, connection: Connection, run_id: str, new: RunState, reason: str) -> str:
        """Move a run on and say of which suite it is. Its row is held until the end."""
        query = select(runs.c.state, runs.c.suite_key).where(runs.c.run_id == run_id)
        row = connection.execute(query.with_for_update()).one()
        check_transition(RunState(row.state), new)
        connection.execute(
            update(runs)
            .where(runs.c.run_id == run_id)
            .values(state=new.value, reason=kept(reason), updated_at=self._clock())
        )
        move = Transition(str(row.suite_key), run_id, RunState(row.state), new, reason)
        self._note_moves(connection, [move])
        return move.suite_key
