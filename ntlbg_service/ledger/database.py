"""Opening the ledger's database: SQLite in a file, or PostgreSQL for many machines."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.ledger.schema import HEAD, revision, upgrade
from ntlbg_service.ledger.transactions import WRITES, first_line
from ntlbg_service.process.permissions import make_file, mend, refused
from ntlbg_service.process.sqlite_file import beside, connect_to_read, may_write, url_of
from ntlbg_service.storage.filesystems import network_filesystem

SHAPES = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
READ_ONLY = "ntlbg_read_only"
"""Execution option of an engine on a file that cannot be written: why it cannot."""
SERVER = {
    "connect_timeout": "10",
    "options": "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s",
}
"""What a PostgreSQL session gives up on: a writer that froze holds the others up for a minute."""


def open_database(url: str, *, migrate: bool | None = None) -> Engine:
    """An engine on an up-to-date schema.

    `migrate` brings an older schema up to date. By default that is done for a file of SQLite, and
    asked for on a server, where machines with older code may be at work. Of a file that cannot be
    written, a copy is brought up to date and read. Raises UserError for a wrong URL,
    InfrastructureError for a database that does not answer or has another schema.
    """
    parsed = parse_url(url)
    engine = create_database_engine(parsed)
    try:
        with failures_in_a_line(parsed):
            if engine.dialect.name == "sqlite" and why_read_only(engine) and not migrate:
                return _to_read(engine)
            _bring_up_to_date(engine, migrate)
    except Exception:
        engine.dispose()
        raise
    return engine


def _bring_up_to_date(engine: Engine, migrate: bool | None) -> None:
    with engine.connect() as connection:
        found = revision(connection)
    if found == HEAD:
        return
    asked = is_sqlite(engine.dialect) if migrate is None else migrate
    if found is not None and not asked:
        raise InfrastructureError(
            f"ledger {shown(engine.url)}: its schema is {found}, this ntlbg needs {HEAD}; "
            "`ntlbg db upgrade` brings it up to date"
        )
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            upgrade(connection)


@contextmanager
def failures_in_a_line(url: URL) -> Iterator[None]:
    """Let what the database says of a failure be an InfrastructureError of one line."""
    try:
        yield
    except DBAPIError as error:
        raise InfrastructureError(f"ledger {shown(url)}: {first_line(error)}") from None


def shown(url: URL) -> str:
    """A database for people: the path of a file, the URL of a server without its password."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database
    return repr(url)


def parse_url(url: str) -> URL:
    """A ledger's URL. Raises UserError for one that no ledger can have."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except ArgumentError:
        raise UserError(f"ledger '{url}' is no database URL; write {SHAPES}") from None
    if backend == "postgres":
        backend, parsed = "postgresql", parsed.set(drivername="postgresql")
    if backend not in ("sqlite", "postgresql"):
        raise UserError(f"ledger {parsed!r}: no ledger lives in {backend}; write {SHAPES}")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:":
        raise UserError("ledger: SQLite without a file would forget everything; name a file")
    kind = network_filesystem(Path(parsed.database))
    if kind is not None:
        raise UserError(
            f"ledger {parsed.database} lies on a network file system ({kind}), where SQLite's "
            "locks do not hold; put --home on a local disk or use --ledger postgresql+psycopg://..."
        )
    return parsed


def create_database_engine(url: URL) -> Engine:
    """An engine as the ledger needs it, whatever schema is there."""
    if url.get_backend_name() == "sqlite":
        return _create_sqlite_engine(url)
    wanted = {name: value for name, value in SERVER.items() if name not in url.query}
    try:
        return create_engine(url, pool_pre_ping=True, connect_args=wanted)
    except ModuleNotFoundError:
        raise UserError(
            "a ledger in PostgreSQL needs psycopg: pip install 'ntlbg[postgres]'"
        ) from None


def insert_of(connection: Connection) -> Callable[..., Any]:
    """The dialect's own `insert`, which knows what to do on a conflict."""
    if is_sqlite(connection.dialect):
        from sqlalchemy.dialects.sqlite import insert

        return insert
    from sqlalchemy.dialects.postgresql import insert as insert_on_server

    return insert_on_server


def is_sqlite(dialect: Dialect) -> bool:
    """Whether the ledger is a file."""
    return dialect.name == "sqlite"


def why_read_only(engine: Engine) -> str | None:
    """Why a file of SQLite can only be read; None where it can be written."""
    return engine.get_execution_options().get(READ_ONLY)


def _create_sqlite_engine(url: URL) -> Engine:
    file = Path(url.database or "")
    if file.is_file() and not may_write(file):
        return _create_reading_engine(url, file, _why_not(file))
    with suppress(OSError):  # SQLite says itself what is wrong.
        make_file(file)
        for each in beside(file):
            if each.exists():
                mend(each)
    engine = create_engine(url)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_reading_engine(url: URL, file: Path, why: str) -> Engine:
    why_not_read = refused(file, write=False)
    if why_not_read:
        raise UserError(f"ledger {file} cannot be read: {why_not_read}")
    options = {READ_ONLY: f"ledger {file} can only be read: {why}"}
    engine = create_engine(url, creator=lambda: connect_to_read(file), execution_options=options)
    event.listen(engine, "connect", _prepare_reading)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _why_not(file: Path) -> str:
    """What keeps this process from writing a database."""
    candidates = (file.parent, *(each for each in (file, *beside(file)) if each.exists()))
    found = (refused(each, write=True) for each in candidates)
    return next(filter(None, found), "its folder cannot be written")


def _to_read(engine: Engine) -> Engine:
    """The engine where its schema is right; else one on an up-to-date copy, which ends with it."""
    with engine.connect() as connection:
        if revision(connection) == HEAD:
            return engine
    folder = Path(tempfile.mkdtemp(prefix="ntlbg-ledger-"))
    file, original = folder / "ledger.db", Path(engine.url.database or "")
    with closing(connect_to_read(original)) as source, closing(sqlite3.connect(file)) as copy:
        source.backup(copy)
    copied = create_database_engine(parse_url(url_of(file)))
    _bring_up_to_date(copied, True)
    copied.dispose()
    engine.dispose()
    reading = _create_reading_engine(parse_url(url_of(file)), file, "")
    reading.update_execution_options(**{READ_ONLY: why_read_only(engine)})
    finalize(reading, shutil.rmtree, folder, ignore_errors=True)
    return reading


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin a transaction only at the first write, after what was read for it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_reading(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "query_only=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    writes, why = options.get(WRITES, False), options.get(READ_ONLY)
    if writes and why:
        raise UserError(why)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
