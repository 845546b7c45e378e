"""SQLite's files by path: their URL, and how one is opened that may not be written.

The standard library alone, so that a shell's completion can use it.
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
"""Ends of the names of what SQLite keeps beside a database in WAL mode."""


def url_of(file: Path) -> str:
    """SQLAlchemy's URL of a file. It unquotes a database's name, and ends it at a question mark.

    MLflow makes the folder of the name before that is unquoted. With its slashes quoted too, that
    folder is there.
    """
    name = str(file)
    if "%" not in name and "?" not in name:
        return f"sqlite:///{name}"
    first = "/" if name.startswith("/") else ""
    return f"sqlite:///{first}{quote(name.removeprefix('/'), safe='')}"


def file_of(url: str) -> Path | None:
    """The file of such a URL; None for another database."""
    found = URL.match(url)
    return Path(unquote(found["file"])) if found else None


def beside(file: Path) -> tuple[Path, Path]:
    """The write-ahead log of a database, and the index into it that its users share."""
    return file.with_name(file.name + WAL), file.with_name(file.name + SHM)


def may_write(file: Path) -> bool:
    """Whether a database can be written: SQLite also makes and removes files beside it."""
    if not writable(file.parent):
        return False
    return all(writable(each) for each in (file, *beside(file)) if each.exists())


def connect_to_read(file: Path) -> sqlite3.Connection:
    """Open a database that this process cannot write, as its last commit left it.

    SQLite reads along while others have it open. The index that they share it would make anew, and
    where a reader owns that, nobody else can write. So a database with nothing in its log is read
    as a file that does not change, and of another one a copy.
    """
    log, index = beside(file)
    if index.exists() or not _keeps_log(file):
        with suppress(sqlite3.OperationalError):
            return _checked(_opened(file, "mode=ro"))
    return _copied(file, log) if _size(log) else _checked(_opened(file, "immutable=1"))


class _Copy(sqlite3.Connection):
    """A connection whose file goes with it: the driver's own class takes no finalizer."""


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
    """Whether a database is in WAL mode, by its header."""
    with file.open("rb") as opened:
        return opened.read(20)[18:20] == b"\x02\x02"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
