"""News over PostgreSQL, for controllers on other machines than the people who submit.

What people write notifies in its own transaction, so that news comes with what it is about or not
at all. A connection that is lost costs time and nothing else: the controller looks by itself, and
listens anew.
"""

from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

CHANNEL = "ntlbg_news"
"""One a database; the word that comes along is the schema in which the ledger lies."""


def announce(connection: Connection) -> None:
    """Wake who listens, once the transaction that `connection` is in is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, func.current_schema())))


class PostgresNews:
    """Listens on a connection of its own (the contract is `wake.ChangeListener`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._error: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._held: Any = None
        self._schema = b""

    def open(self) -> bool:
        """Listen from now on; False where it did already, or the database does not answer."""
        if self._held is not None:
            return False
        try:
            pooled = self._engine.raw_connection()
            self._held = pooled.driver_connection
            pooled.detach()
            self._held.autocommit = True
            (schema,) = self._held.execute("SELECT current_schema()").fetchone()
            self._schema = schema.encode()
            self._held.execute(f"LISTEN {CHANNEL}")
        except (DBAPIError, PoolTimeoutError, self._error):
            self.close()
            return False
        return True

    def fileno(self) -> int | None:
        """What becomes readable when there may be news; None where it does not listen."""
        return None if self._held is None else int(self._held.fileno())

    def take(self) -> bool:
        """Read what has come; whether any of it is of this ledger, or may have been missed."""
        heard = False
        try:
            self._held.pgconn.consume_input()
            while (notice := self._held.pgconn.notifies()) is not None:
                heard |= notice.extra == self._schema
        except self._error:
            self.close()
            return True
        return heard

    def close(self) -> None:
        """Listen no more."""
        held, self._held = self._held, None
        if held is not None:
            with suppress(self._error):
                held.close()
