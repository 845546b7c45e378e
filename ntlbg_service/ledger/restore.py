"""Taking a backup back, into either database, whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import StatementError

from ntlbg_model.config import Config
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import Trial
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.run_identity import Identity
from ntlbg_service.ledger.backup import TABLES, check_lines, in_pieces, read_lines, rows_of
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.rows import ATTEMPT, RUN, attempt_of, run_of
from ntlbg_service.ledger.tables import events, leadership, metadata, notices, outbox, runs, suites
from ntlbg_service.ledger.transactions import WRITES, first_line
from ntlbg_service.process.redaction import known
from ntlbg_service.process.sqlite_file import url_of

Rows = Iterator[tuple[str, dict[str, Any]]]


def restore(engine: Engine, file: Path, *, force: bool = False) -> int:
    """Fill a ledger from a backup; says how many rows. `force` replaces what is there.

    The lead is free afterwards in a new term, so that a controller which led before writes no
    more. Raises UserError for a wrong file and, without `force`, for a ledger that is not empty.
    """
    with _rows(file) as rows, engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            _hold_all(connection)
            if connection.execute(select(suites.c.key)).first() is not None and not force:
                raise UserError("the ledger is not empty; --force replaces what is in it")
            epoch = _empty(connection)
            try:
                count = _fill(connection, rows)
                _own(connection)
                _understand(connection)
            except (
                StatementError,
                UserError,
                ValueError,
                KeyError,
                TypeError,
                OverflowError,
            ) as error:
                words = first_line(error)
                raise UserError(f"{file}: a row does not fit this ledger: {words}") from None
            _depose(connection, epoch)
            _count_on(connection)
    return count


@contextmanager
def _rows(file: Path) -> Iterator[Rows]:
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    with file.open("rb") as head:
        is_sqlite = head.read(16) == b"SQLite format 3\x00"
    if not is_sqlite:
        check_lines(file)
        yield read_lines(file)
        return
    # A copy, since a backup of an older schema is brought up to date before it is read.
    with tempfile.TemporaryDirectory(prefix="ntlbg-restore-") as folder:
        copy = Path(folder) / "ledger.db"
        shutil.copyfile(file, copy)
        source = open_database(url_of(copy), migrate=True)
        try:
            with source.connect() as connection:
                yield _all_rows(connection)
        finally:
            source.dispose()


def _all_rows(connection: Connection) -> Rows:
    for table in TABLES:
        for row in rows_of(connection, table):
            yield table.name, row


def _hold_all(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in TABLES)
        connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))


def _empty(connection: Connection) -> int:
    """Delete everything; says the epoch that was."""
    epoch = connection.execute(select(leadership.c.epoch)).scalar_one()
    for table in reversed(TABLES):
        connection.execute(delete(table))
    return int(epoch)


def _fill(connection: Connection, rows: Rows) -> int:
    count = 0
    for name, piece in in_pieces(rows):
        connection.execute(insert(metadata.tables[name]), [known().hidden(row) for row in piece])
        count += len(piece)
    return count


def _own(connection: Connection) -> None:
    """Lines of before runs had a submitter: they belong to who submitted their suite."""
    mine = select(suites.c.submitter).where(suites.c.key == runs.c.suite_key).scalar_subquery()
    connection.execute(update(runs).where(runs.c.submitter == "").values(submitter=mine))


def _understand(connection: Connection) -> None:
    """Read what a controller would read: what it cannot understand is refused here, not there."""
    for row in connection.execute(select(*RUN)):
        run = run_of(row)
        parse(Config, run.config, f"run {run.run_id}")
        Identity(**run.identity)
        for trial in run.details.get("trials", ()):
            parse(Trial, trial, f"run {run.run_id}")
        texts = [run.details.get(name, "") for name in ("data_root", "code", "metric")]
        if not all(isinstance(text, str) for text in texts):
            raise UserError(f"run {run.run_id}: details: must be texts")
    for row in connection.execute(select(*ATTEMPT)):
        attempt_of(row)


def _depose(connection: Connection, epoch: int) -> None:
    """A new term that nobody holds, later than any that was, here or in the backup."""
    restored = connection.execute(select(leadership.c.epoch)).scalar()
    free = {"holder": "", "epoch": max(epoch, restored or 0) + 1, "expires_at": 0.0}
    change = insert(leadership).values(id=1) if restored is None else update(leadership)
    connection.execute(change.values(free))


def _count_on(connection: Connection) -> None:
    """Let PostgreSQL's counters go on after the rows that came with their numbers."""
    if connection.dialect.name != "postgresql":
        return
    for table in (events, outbox, notices):
        newest = connection.execute(select(func.max(table.c.id))).scalar()
        sequence = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(sequence, newest or 1, newest is not None)))
