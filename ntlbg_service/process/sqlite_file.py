"""SQLite database files: their URLs, and read-only access to them.

Imports no third-party package, so that shell completion stays fast.
"""

import re
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote
from weakref import finalize

from ntlbg_service.process.permissions import writable

URL = re.compile(r"sqlite(?:\+pysqlite)?:///(?P<file>[^?]+)")
WAL, SHM = "-wal", "-shm"
"""Suffixes of the files that SQLite keeps beside a database in WAL mode."""


def url_of(file: Path) -> str:
    """Return the SQLAlchemy URL of a file.

    SQLAlchemy unquotes the database name and ends it at a question mark. MLflow creates the parent
    folder of the name while still quoted; with slashes quoted too, that folder already exists.
    """
    name = str(file)
    if "%" not in name and "?" not in name:
        return f"sqlite:///{name}"
    first = "/" if name.startswith("/") else ""
    return f"sqlite:///{first}{quote(name.removeprefix('/'), safe='')}"


def file_of(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for another database."""
    found = URL.match(url)
    return Path(unquote(found["file"])) if found else None


def beside(file: Path) -> tuple[Path, Path]:
    """Return the write-ahead log of a database and its shared-memory index."""
    return file.with_name(file.name + WAL), file.with_name(file.name + SHM)


def may_write(file: Path) -> bool:
    """Return True if a database, its folder and the files beside it are writable.

    SQLite also creates and removes files beside the database.
    """
    if not writable(file.parent):
        return False
    return all(writable(each) for each in (file, *beside(file)) if each.exists())


def connect_to_read(file: Path) -> sqlite3.Connection:
    """Open a database that this process cannot write, in the state of its last commit.

    While other processes have it open, SQLite can read concurrently. Otherwise SQLite would create
    the shared-memory index anew, owned by the reader, and other users could no longer write. So a
    database with an empty log is opened as immutable, and any other is copied first.
    """
    log, index = beside(file)
    if index.exists() or not _keeps_log(file):
        with suppress(sqlite3.OperationalError):
            return _checked(_opened(file, "mode=ro"))
    return _copied(file, log) if _size(log) else _checked(_opened(file, "immutable=1"))


class _Copy(sqlite3.Connection):
    """A connection whose copy is deleted with it; sqlite3.Connection allows no finalizer."""


def _copied(file: Path, log: Path) -> sqlite3.Connection:
    folder = Path(tempfile.mkdtemp(prefix="ntlbg-ledger-"))
    for each in (file, log):
        shutil.copyfile(each, folder / each.name)
    connection = sqlite3.connect(folder / file.name, check_same_thread=False, factory=_Copy)
    finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    return connection


def _opened(file: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?{how}", uri=True, check_same_thread=False)


def _checked(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _keeps_log(file: Path) -> bool:
    """Return True if the header of a database says WAL mode."""
    with file.open("rb") as opened:
        return opened.read(20)[18:20] == b"\x02\x02"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
