"""A run's changes of state: the one place where they are made."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ntlbg_service.domain.notice import state_of_suite
from ntlbg_service.domain.states import TERMINAL, RunState, check_transition
from ntlbg_service.domain.suite import Identity
from ntlbg_service.ledger.newest import among_newest
from ntlbg_service.ledger.notices import Notices
from ntlbg_service.ledger.outbox import Outbox
from ntlbg_service.ledger.tables import attempts, runs
from ntlbg_service.ledger.transactions import kept


class Lives(Outbox, Notices):
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
        ended = [state.value for state in TERMINAL]
        going = select(runs.c.run_id).where(
            runs.c.suite_key == suite_key, runs.c.state.not_in(ended)
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
        self._note(connection, suite_key, None, content)

    def _add(self, connection: Connection, identity: Identity, values: Mapping[str, Any]) -> None:
        """A new run, queued."""
        now = self._clock()
        connection.execute(
            insert(runs).values(
                run_id=identity.run_id,
                identity=asdict(identity),
                state=RunState.QUEUED.value,
                reason="",
                **{"created_at": now, "updated_at": now, **values},
            )
        )

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
        suite_key = str(row.suite_key)
        if self._passes_on(connection):
            content = {"state": new.value, "before": row.state, "reason": reason}
            self._note(connection, suite_key, run_id, content)
        return suite_key
