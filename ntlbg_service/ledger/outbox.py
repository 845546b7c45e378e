"""What MLflow has to be told: noted in the transaction that made it true, kept until it is sent."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.records import OutboxEntry
from ntlbg_service.ledger.rows import entry_of
from ntlbg_service.ledger.tables import outbox
from ntlbg_service.ledger.transactions import Transactions, kept


class Outbox(Transactions):
    """The outbox of a ledger."""

    def post(self, topic: str, suite_key: str, run_id: str | None = None) -> None:
        """Note that MLflow has to be told something; a topic already waiting is not repeated."""
        with self._writing() as connection:
            self._post(connection, topic, suite_key, run_id)
            announce(connection)

    def _post(self, connection: Connection, topic: str, suite_key: str, run_id: str | None) -> None:
        # One that waits is counted up: where MLflow is just being told it, `sent` keeps it.
        again = connection.execute(
            update(outbox)
            .where(
                outbox.c.sent_at.is_(None),
                outbox.c.topic == topic,
                outbox.c.suite_key == suite_key,
                outbox.c.run_id.is_(None) if run_id is None else outbox.c.run_id == run_id,
            )
            .values(posts=outbox.c.posts + 1)
        )
        if again.rowcount == 0:
            connection.execute(insert(outbox), [_entry(topic, suite_key, run_id, self._clock())])

    def _post_runs(self, connection: Connection, topic: str, suite_of: Mapping[str, str]) -> None:
        """The same for a topic of several runs, given with their suites."""
        if not suite_of:
            return
        waits = (
            outbox.c.sent_at.is_(None),
            outbox.c.topic == topic,
            outbox.c.run_id.in_(list(suite_of)),
        )
        again = update(outbox).where(*waits).values(posts=outbox.c.posts + 1)
        known = set(connection.execute(again.returning(outbox.c.run_id)).scalars())
        now = self._clock()
        fresh = [
            _entry(topic, suite_key, run_id, now)
            for run_id, suite_key in suite_of.items()
            if run_id not in known
        ]
        if fresh:
            connection.execute(insert(outbox), fresh)

    def unsent(self, most: int | None = None) -> tuple[OutboxEntry, ...]:
        """What MLflow has not been told yet, oldest first; at most so much of it."""
        query = select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id).limit(most)
        with self._reading() as connection:
            return tuple(entry_of(row) for row in connection.execute(query))

    def sent(self, entry: OutboxEntry) -> None:
        """MLflow has been told. What was posted again since `entry` was read stays unsent."""
        same = (outbox.c.id == entry.id, outbox.c.posts == entry.posts)
        with self._writing() as connection:
            connection.execute(update(outbox).where(*same).values(sent_at=self._clock()))

    def not_sent(self, entry: OutboxEntry, error: str) -> None:
        """MLflow did not answer; the entry stays."""
        with self._writing() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == entry.id)
                .values(tries=outbox.c.tries + 1, error=kept(error))
            )


def _entry(topic: str, suite_key: str, run_id: str | None, now: float) -> dict[str, Any]:
    return {
        "topic": topic,
        "suite_key": suite_key,
        "run_id": run_id,
        "created_at": now,
        "posts": 1,
        "tries": 0,
        "error": "",
    }
