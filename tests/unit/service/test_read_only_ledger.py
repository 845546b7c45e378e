"""A ledger that cannot be written is read whole, left as it is, and says who may write it."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.transactions import WRITES
from ntlbg_service.process.sqlite_file import connect_to_read, file_of, url_of
from tests.support.accounts import ADA, EVE, SWITCHES, act_as, lab_folder
from tests.support.builders import SUITE, new_ledger, new_run


@pytest.fixture
def lab() -> Iterator[Path]:
    """A folder of the lab's, which becomes one that its members only read."""
    with lab_folder() as folder:
        yield folder
        folder.chmod(0o2770)


def take_writing(folder: Path) -> None:
    folder.chmod(0o2550)
    for file in folder.iterdir():
        file.chmod(0o440)


def seen(folder: Path) -> tuple[list[str], str]:
    """Labels of the runs that a reader sees, and what it is told when it writes."""
    ledger = Ledger(open_database(url_of(folder / "ledger.db")), lambda: 0.0)
    labels = [run.label for run in ledger.current_runs("s")]
    with pytest.raises(UserError) as refused:
        ledger.submit(SUITE, [new_run(seed=9)])
    ledger.close()
    return labels, str(refused.value)


def read_by_another(folder: Path, runs: int) -> None:
    before = {file.name: file.stat().st_size for file in folder.iterdir()}
    labels, refused = act_as(EVE, lambda: seen(folder))
    assert len(labels) == runs
    assert refused.startswith(f"ledger {folder / 'ledger.db'} can only be read: {folder} belongs")
    assert {file.name: file.stat().st_size for file in folder.iterdir()} == before


def fill(folder: Path) -> Ledger:
    ledger = new_ledger(folder)
    ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2, 3)])
    return ledger


def test_one_that_was_closed(lab: Path) -> None:
    act_as(ADA, lambda: fill(lab).close())
    assert [file.name for file in lab.iterdir()] == ["ledger.db"]
    take_writing(lab)
    read_by_another(lab, 3)


def test_one_that_others_write_meanwhile(lab: Path) -> None:
    ledger = fill(lab)
    for file in lab.iterdir():
        shutil.chown(file, group=lab.stat().st_gid)
    take_writing(lab)
    read_by_another(lab, 3)
    lab.chmod(0o2770)
    ledger.submit(SUITE, [new_run(seed=4)])
    lab.chmod(0o2550)
    assert len(act_as(EVE, lambda: seen(lab))[0]) == 4
    lab.chmod(0o2770)
    ledger.close()


def test_one_that_was_copied_while_others_wrote(lab: Path) -> None:
    """Its last commits are in the log alone, and the index into that is not there."""
    with lab_folder() as original:
        ledger = fill(original)
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copyfile(original / name, lab / name)
        ledger.close()
    take_writing(lab)
    read_by_another(lab, 3)


def test_one_of_an_older_version(lab: Path) -> None:
    def fill_older() -> None:
        fill(lab).close()
        engine = open_database(url_of(lab / "ledger.db"))
        with engine.connect() as connection:
            connection.execution_options(**{WRITES: True})
            with connection.begin():
                connection.exec_driver_sql("ALTER TABLE leadership DROP COLUMN seconds")
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0008'")
        engine.dispose()

    act_as(ADA, fill_older)
    take_writing(lab)
    read_by_another(lab, 3)


def test_what_a_reader_cannot_open_says_whose_it_is(lab: Path) -> None:
    act_as(ADA, lambda: fill(lab).close())
    (lab / "ledger.db").chmod(0o600 if SWITCHES else 0)

    def opened() -> str:
        with pytest.raises(UserError) as refused:
            open_database(url_of(lab / "ledger.db"))
        return str(refused.value)

    said = act_as(EVE, opened)
    assert "cannot be read: " in said and "belongs to " in said and "chmod" in said


@pytest.mark.parametrize(
    "name", ["plain.db", "que?ry.db", "per%20cent.db", "a#b;c:d&e=f+g.db", "é '\"\\.db", "%3F"]
)
@pytest.mark.parametrize("start", ["/tmp/x", "relative", "-dash", "~", "."])
def test_a_path_is_a_path(name: str, start: str) -> None:
    file = Path(start, name)
    assert file_of(url_of(file)) == file


@pytest.mark.parametrize("url", ["postgresql+psycopg://u@h/d", "sqlite://", "http://h/sqlite:///x"])
def test_what_is_no_file_has_none(url: str) -> None:
    assert file_of(url) is None


def test_a_database_without_a_log_is_read_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE t (a)")
    with closing(connect_to_read(file)) as read:
        assert read.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert os.listdir(tmp_path) == ["mlflow.db"]  # noqa: PTH208
