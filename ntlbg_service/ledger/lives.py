"""A run's changes of state: the one place where they are made."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ntlbg_service.domain.states import TERMINAL, RunState, check_transition
from ntlbg_service.domain.suite import Identity
from ntlbg_service.ledger.outbox import Outbox
from ntlbg_service.ledger.tables import attempts, runs

GOING = tuple(state.value for state in RunState if state not in TERMINAL)
"""States of runs that have not ended."""


class Lives(Outbox):
    """Changing the state of runs."""

    def cancel(self, run_id: str, reason: str) -> None:
        """End a queued run. Raises TransitionError where it is not queued."""
        with self._writing() as connection:
            self._post_suite_end(connection, self._cancel(connection, run_id, reason))

    def _cancel(self, connection: Connection, run_id: str, reason: str) -> str:
        suite_key = self._set_state(connection, run_id, RunState.CANCELLED, reason)
        self._event(connection, run_id, "cancelled", reason)
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
            .values(state=new.value, reason=reason, updated_at=self._clock())
        )
        return str(row.suite_key)
