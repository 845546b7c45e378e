"""A copy of a ledger in one file: SQLite's own, or JSON lines that either database takes back."""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, select

from ntlbg_service.domain.errors import UserError
from ntlbg_service.ledger.schema import HEAD
from ntlbg_service.ledger.tables import metadata

TABLES: tuple[Table, ...] = tuple(metadata.sorted_tables)
"""Each after those that it refers to."""
FORMAT = "ntlbg-ledger-1"
LINES = ".jsonl"


def back_up(engine: Engine, file: Path) -> None:
    """Copy the ledger as it is at one moment, while others go on writing.

    A file of JSON lines from PostgreSQL, or where its name ends in `.jsonl`; else SQLite's own
    copy. Raises UserError where `file` is there or cannot be written. The file is whole or absent.
    """
    with _whole(file) as part:
        if engine.dialect.name == "sqlite" and file.suffix != LINES:
            _copy(engine, part)
        else:
            _write_lines(engine, part)


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    if file.exists() or file.is_symlink():
        raise UserError(f"{file}: is there already; name a new file")
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.rename(file)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _copy(engine: Engine, part: Path) -> None:
    with engine.connect() as connection, closing(sqlite3.connect(part)) as target:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")


def _write_lines(engine: Engine, part: Path) -> None:
    digest = hashlib.sha256()
    with engine.connect() as connection, part.open("w", encoding="utf-8") as file:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            for line in _lines(connection):
                text = json.dumps(line, separators=(",", ":")) + "\n"
                digest.update(text.encode())
                file.write(text)
        file.write(json.dumps({"sha256": digest.hexdigest()}) + "\n")


def _lines(connection: Connection) -> Iterator[dict[str, Any]]:
    yield {"format": FORMAT, "schema": HEAD}
    for table in TABLES:
        for row in rows_of(connection, table):
            yield {"table": table.name, "row": row}


def rows_of(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """A table's rows in the order of its key, read in pieces."""
    found = connection.execution_options(yield_per=500).execute(
        select(table).order_by(*table.primary_key)
    )
    for row in found.mappings():
        yield dict(row)


def read_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of each line of a backup. Raises UserError for a file that is none."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        header = _parsed(file, next(lines, ""))
        if header.get("format") != FORMAT or not isinstance(header.get("schema"), str):
            raise UserError(f"{file}: is no backup of a ledger")
        if header["schema"] > HEAD:
            raise UserError(
                f"{file}: its schema is {header['schema']}, newer than this ntlbg, "
                f"which knows {HEAD}; upgrade ntlbg"
            )
        for number, line in enumerate(lines, start=2):
            entry = _parsed(file, line)
            if "table" in entry:
                yield _row_of(f"{file}:{number}", entry)


def _row_of(place: str, entry: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Table and row of a line. Raises UserError for one that this schema has not."""
    table, row = entry["table"], entry.get("row")
    known = metadata.tables.get(table) if isinstance(table, str) else None
    if known is None:
        raise UserError(f"{place}: no table of a ledger")
    if not isinstance(row, dict) or not row.keys() <= set(known.columns.keys()):
        raise UserError(f"{place}: no row of table {table}")
    return table, row


def check_lines(file: Path) -> None:
    """Raise UserError where a backup was cut off or changed."""
    digest = hashlib.sha256()
    last = b""
    with file.open("rb") as lines:
        for line in lines:
            digest.update(last)
            last = line
    if _parsed(file, last.decode(errors="replace")).get("sha256") != digest.hexdigest():
        raise UserError(f"{file}: is not whole: it was cut off or changed")


def _parsed(file: Path, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise UserError(f"{file}: is no backup of a ledger")
    return entry


def in_pieces(rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """Neighbours of one table together, at most 500."""
    name = ""
    piece: list[Any] = []
    for table, row in rows:
        if piece and (table != name or len(piece) == 500):
            yield name, piece
            piece = []
        name = table
        piece.append(row)
    if piece:
        yield name, piece
