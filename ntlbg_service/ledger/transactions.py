"""One transaction an operation: what every part of the ledger is built on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.ledger.tables import events, leadership
from ntlbg_service.process.redaction import redacted

WRITES = "ntlbg_writes"
"""Execution option of a connection whose transaction takes the write lock as it begins."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One holder's time as the leader. Its epoch is higher than that of every term before."""

    holder: str
    epoch: int


class LeadershipLostError(InfrastructureError):
    """Another leads since: nothing was written, and nothing more may be."""


class Transactions:
    """Reads and writes of one ledger, by its clock; under a term where one is given."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], term: Term | None = None
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._term = term

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that commits only while the ledger's term, if it has one, still holds."""
        with self._transaction(writes=True) as connection:
            if self._term is not None:
                _hold(connection, self._term)
            yield connection

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.execution_options(**{WRITES: writes})
                with connection.begin():
                    yield connection
        except (IntegrityError, ProgrammingError, DataError):
            raise
        except (DBAPIError, PoolTimeoutError) as error:
            raise InfrastructureError(f"ledger: {first_line(error)}") from error

    def _event(
        self, connection: Connection, run_id: str, kind: str, message: str, who: str = ""
    ) -> None:
        self._events(connection, [(run_id, kind, message)], who)

    def _events(
        self, connection: Connection, told: Sequence[tuple[str, str, str]], who: str = ""
    ) -> None:
        """Events of one moment, made by one: run, kind and message of each."""
        moment = {"time": self._clock(), "who": kept(who)}
        rows = [
            {**moment, "run_id": run_id, "kind": kind, "message": kept(message)}
            for run_id, kind, message in told
        ]
        connection.execute(insert(events), rows)


def _hold(connection: Connection, term: Term) -> None:
    """Keep the leadership as it is until the transaction ends. Raises LeadershipLostError."""
    query = select(leadership.c.holder, leadership.c.epoch).with_for_update(read=True)
    row = connection.execute(query).one()
    if (row.holder, row.epoch) != (term.holder, term.epoch):
        leader = row.holder or "nobody"
        raise LeadershipLostError(
            f"{term.holder} leads no more: its term was {term.epoch}, "
            f"now {leader} leads in term {row.epoch}"
        )


def kept(text: str) -> str:
    """A text as the ledger keeps it: without secrets, of characters that every database takes."""
    return redacted(text).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def first_line(error: Exception) -> str:
    """What a database said, in one line."""
    words = str(getattr(error, "orig", None) or error.__cause__ or error).strip()
    return redacted(words.splitlines()[0]) if words else type(error).__name__
