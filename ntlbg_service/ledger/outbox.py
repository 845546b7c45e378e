"""What MLflow has to be told: noted in the transaction that made it true, kept until it is sent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import OperationalError

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.ledger.records import OutboxEntry
from ntlbg_service.ledger.tables import outbox


class Outbox:
    """The outbox of a ledger."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except OperationalError as error:
            raise InfrastructureError(f"ledger: {str(error.orig).splitlines()[0]}") from error

    def post(self, topic: str, suite_key: str, run_id: str | None = None) -> None:
        """Note that MLflow has to be told something; a topic already waiting is not repeated."""
        with self._transaction() as connection:
            self._post(connection, topic, suite_key, run_id)

    def _post(self, connection: Connection, topic: str, suite_key: str, run_id: str | None) -> None:
        waiting = select(outbox.c.id).where(
            outbox.c.sent_at.is_(None),
            outbox.c.topic == topic,
            outbox.c.suite_key == suite_key,
            outbox.c.run_id.is_(None) if run_id is None else outbox.c.run_id == run_id,
        )
        if connection.execute(waiting).first() is None:
            connection.execute(
                insert(outbox).values(
                    topic=topic,
                    suite_key=suite_key,
                    run_id=run_id,
                    created_at=self._clock(),
                    tries=0,
                    error="",
                )
            )

    def unsent(self) -> tuple[OutboxEntry, ...]:
        """What MLflow has not been told yet, oldest first."""
        query = select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id)
        with self._transaction() as connection:
            return tuple(
                OutboxEntry(id=row.id, topic=row.topic, suite_key=row.suite_key, run_id=row.run_id)
                for row in connection.execute(query)
            )

    def sent(self, entry: OutboxEntry) -> None:
        """MLflow has been told."""
        with self._transaction() as connection:
            connection.execute(
                update(outbox).where(outbox.c.id == entry.id).values(sent_at=self._clock())
            )

    def not_sent(self, entry: OutboxEntry, error: str) -> None:
        """MLflow did not answer; the entry stays."""
        with self._transaction() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == entry.id)
                .values(tries=outbox.c.tries + 1, error=error)
            )
