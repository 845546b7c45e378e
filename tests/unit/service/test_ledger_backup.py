"""A backup is whole, restores on either database, and deposes whoever led."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, Select, Table, select, text

from ntlbg_service.cli import cli
from ntlbg_service.domain.errors import NtlbgError, UserError
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.backup import TABLES, back_up
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.integrity import check
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Measured
from ntlbg_service.ledger.restore import restore
from ntlbg_service.ledger.tables import leadership
from ntlbg_service.ledger.transactions import LeadershipLostError
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Ticks, cpu_fit, new_run, tiny_config
from tests.support.databases import Postgres

FIT = cpu_fit(tiny_config())


def fill(ledger: Ledger) -> None:
    """A ledger in the middle of things."""
    done, tried, paused = ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2, 3)]).new
    attempt = start_attempt(ledger, ledger.run(done), FIT, None, "local", "", ["n1"])
    ledger.end_attempt(attempt, AttemptState.FINISHED, RunState.FINISHED)
    attempt = start_attempt(ledger, ledger.run(tried), FIT, None, "local", "", ["n2", "n3"])
    ledger.end_attempt(
        attempt,
        AttemptState.FAILED,
        RunState.QUEUED,
        message="out of memory, 'ümlaut'",
        next_fit=FIT,
        not_before=77.5,
        exclude=["n2"],
        measured=Measured(peak_mib=812.25, seconds_per_step=0.1, finished_steps=3),
    )
    start_attempt(ledger, ledger.run(tried), FIT, "checkpoint", "local", "")
    ledger.request(paused, DesiredState.PAUSE, "ada")


def in_order(table: Table) -> Select[*tuple[Any, ...]]:
    """A table's rows by their key."""
    return select(table).order_by(*table.primary_key)


def rows(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Everything but who leads."""
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(in_order(table))]
            for table in TABLES
            if table is not leadership
        }


@pytest.mark.parametrize("name", ["copy.db", "copy.jsonl"])
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_restores_on_either_database(
    ledger_url: str, tmp_path: Path, postgres: Postgres, target: str, name: str
) -> None:
    engine = open_database(ledger_url)
    fill(Ledger(engine, Ticks()))
    back_up(engine, tmp_path / name)
    other = open_database(
        f"sqlite:///{tmp_path / 'other.db'}" if target == "sqlite" else postgres.new_database()
    )
    restore(other, tmp_path / name)
    assert rows(other) == rows(engine)
    assert check(other).problems == ()
    restored = Ledger(other, Ticks())
    (active,) = restored.active_attempts()
    restored.end_attempt(active, AttemptState.FINISHED, RunState.FINISHED)
    engine.dispose()
    other.dispose()


def test_who_led_before_a_restore_writes_no_more(ledger_url: str, tmp_path: Path) -> None:
    engine = open_database(ledger_url)
    ledger = Ledger(engine, Ticks())
    fill(ledger)
    back_up(engine, tmp_path / "copy.jsonl")
    term = ledger.lead("a", 1000)
    assert term is not None
    restore(engine, tmp_path / "copy.jsonl", force=True)
    with pytest.raises(LeadershipLostError):
        ledger.under(term).post("run_metrics", "s")
    assert ledger.lead("b", 10) is not None
    engine.dispose()


def test_what_is_there_is_not_replaced_unless_asked(ledger_url: str, tmp_path: Path) -> None:
    engine = open_database(ledger_url)
    ledger = Ledger(engine, Ticks())
    back_up(engine, tmp_path / "empty.jsonl")
    fill(ledger)
    before = rows(engine)
    with pytest.raises(UserError, match="not empty; --force"):
        restore(engine, tmp_path / "empty.jsonl")
    assert rows(engine) == before
    restore(engine, tmp_path / "empty.jsonl", force=True)
    assert ledger.suite_keys() == ()
    engine.dispose()


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_backup_changes_nothing(ledger_url: str, tmp_path: Path, damage: str) -> None:
    engine = open_database(ledger_url)
    fill(Ledger(engine, Ticks()))
    file = tmp_path / "copy.jsonl"
    back_up(engine, file)
    whole = file.read_text()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "changed": whole.replace("812.25", "81.225"),
        "other": "a shopping list",
    }
    file.write_text(damaged[damage])
    before = rows(engine)
    with pytest.raises(UserError, match=r"not whole|no backup"):
        restore(engine, file, force=True)
    assert rows(engine) == before
    engine.dispose()


def test_a_backup_never_replaces_a_file(ledger_url: str, tmp_path: Path) -> None:
    engine = open_database(ledger_url)
    (tmp_path / "copy.jsonl").write_text("precious")
    with pytest.raises(UserError, match="is there already"):
        back_up(engine, tmp_path / "copy.jsonl")
    with pytest.raises(UserError, match="No such file"):
        back_up(engine, tmp_path / "nowhere" / "copy.jsonl")
    assert (tmp_path / "copy.jsonl").read_text() == "precious"
    assert list(tmp_path.glob("*.part")) == []
    engine.dispose()


def test_check_names_what_does_not_agree(ledger_url: str) -> None:
    engine = open_database(ledger_url)
    ledger = Ledger(engine, Ticks())
    fill(ledger)
    assert check(engine).problems == ()
    with engine.begin() as raw:
        raw.execute(text("UPDATE runs SET state = 'finished' WHERE state = 'running'"))
    problems = check(engine).problems
    assert len(problems) == 2
    assert "is finished with 1 active attempts" in problems[0]
    assert "its newest attempt is launched" in problems[1]
    engine.dispose()


def db(home: Path, *words: str) -> Result:
    """`ntlbg db ...` on a home."""
    return CliRunner().invoke(cli, ["db", *words, "--home", str(home)])


def test_the_commands_on_a_home(tmp_path: Path) -> None:
    home, new = tmp_path / "home", tmp_path / "new"
    home.mkdir()
    ledger = Ledger(open_database(f"sqlite:///{home / 'ledger.db'}"), Ticks())
    fill(ledger)
    assert "sound" in db(home, "check").output
    assert "is at" in db(home, "upgrade").output
    assert db(home, "backup", str(tmp_path / "b.db")).exit_code == 0
    assert "rows restored" in db(new, "restore", str(tmp_path / "b.db")).output
    assert "1 finished, 1 queued, 1 running" in db(new, "check").output
    with closing(sqlite3.connect(new / "ledger.db")) as raw, raw:
        raw.execute("DELETE FROM launches")
    broken = db(new, "check")
    assert isinstance(broken.exception, NtlbgError)
    assert broken.exception.exit_code == 4
    assert "has no launch" in broken.output
    ledger.close()


@pytest.mark.parametrize("words", [("check",), ("upgrade",), ("backup", "x.db")])
def test_a_home_without_a_ledger_stays_without(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = db(tmp_path / "none", *words)
    assert isinstance(done.exception, UserError)
    assert not (tmp_path / "none").exists()


def test_the_ledger_is_chosen_by_option_and_environment(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    by_option = CliRunner().invoke(cli, ["db", "upgrade", "--ledger", url])
    assert "was brought from nothing" in by_option.output
    found = CliRunner().invoke(cli, ["db", "check"], env={"NTLBG_LEDGER": url})
    assert "postgresql+psycopg" in found.output
    assert "sound" in found.output
