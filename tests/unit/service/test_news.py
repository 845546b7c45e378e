"""News over a real PostgreSQL: with what it is about or not at all, and late rather than never."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.states import DesiredState, RunState
from ntlbg_service.ledger.database import create_database_engine, parse_url
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.news import CHANNEL
from ntlbg_service.process.wakeup import Wakeup
from tests.support.builders import SUITE, new_ledger, new_run, open_test_ledger
from tests.support.databases import Postgres

LONG = 600.0
"""Seconds that no test waits: it would be ended before."""


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture
def here(url: str) -> Iterator[Ledger]:
    """The ledger as the machine of a person sees it."""
    ledger = open_test_ledger(url)
    yield ledger
    ledger.close()


@pytest.fixture
def wake(url: str, tmp_path: Path) -> Iterator[Wakeup]:
    """The waiting of a controller on another machine, which has looked a moment ago."""
    ledger = open_test_ledger(url)
    found = Wakeup(tmp_path / "wake", ledger.news())
    found.listen(True)
    assert found.wait(LONG)  # What came before it listened is looked for.
    yield found
    found.close()
    ledger.close()


def test_what_people_write_wakes_a_controller_elsewhere(here: Ledger, wake: Wakeup) -> None:
    assert not wake.wait(0.0)
    (run_id,) = here.submit(SUITE, [new_run()]).new
    assert wake.wait(LONG)
    assert not wake.wait(0.0)
    here.prioritise(run_id, 1, "ada")
    assert wake.wait(LONG)
    assert here.drain("n1", "ada")
    assert wake.wait(LONG)
    assert here.undrain("n1", "ada")
    assert wake.wait(LONG)
    here.request(run_id, DesiredState.PAUSE, "ada")
    assert wake.wait(LONG)
    assert here.request(run_id, DesiredState.CANCEL, "ada") is RunState.CANCELLED
    assert wake.wait(LONG)
    here.requeue(run_id, "ada")
    assert wake.wait(LONG)
    here.post("suite_finished", "s")
    assert wake.wait(LONG)


def test_what_was_not_written_is_no_news(here: Ledger, wake: Wakeup) -> None:
    (run_id,) = here.submit(SUITE, [new_run()]).new
    assert wake.wait(LONG)
    with pytest.raises(UserError):
        here.requeue(run_id, "ada")  # It has not ended: the transaction is rolled back.
    with pytest.raises(KeyError):
        here.request("unknown", DesiredState.CANCEL, "ada")
    here.request(run_id, DesiredState.PAUSE, "ada")
    assert wake.wait(LONG)
    assert not wake.wait(0.0)


def test_another_ledger_of_the_same_server_is_no_news(
    postgres: Postgres, here: Ledger, wake: Wakeup
) -> None:
    other = open_test_ledger(postgres.new_database())
    other.submit(SUITE, [new_run()])
    other.close()
    assert not wake.wait(1.0)
    here.submit(SUITE, [new_run()])
    assert wake.wait(LONG)


def test_a_lost_connection_is_opened_again_and_what_came_meanwhile_looked_for(
    url: str, here: Ledger, wake: Wakeup
) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as own:
        listening = "query = %s AND usename = current_user"
        ended = own.execute(
            f"SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE {listening}",
            [f"LISTEN {CHANNEL}"],
        ).fetchall()
    assert ended == [(True,)]
    here.submit(SUITE, [new_run(seed=1)])  # Nobody hears of it.
    # The loss itself is worth a look: the server's last words come first, then the end.
    assert wake.wait(LONG) or wake.wait(LONG)
    wake.listen(True)
    assert wake.wait(LONG)  # So is what was missed until it listens again.
    assert not wake.wait(0.0)
    here.submit(SUITE, [new_run(seed=2)])
    assert wake.wait(LONG)


def test_who_stands_by_hears_nothing(here: Ledger, wake: Wakeup) -> None:
    wake.listen(False)
    here.submit(SUITE, [new_run()])
    assert not wake.wait(0.0)


def test_a_server_that_is_gone_costs_no_error(tmp_path: Path) -> None:
    url = parse_url("postgresql+psycopg://ada@127.0.0.1:1/ledger")
    ledger = Ledger(create_database_engine(url), lambda: 0.0)
    wake = Wakeup(tmp_path / "wake", ledger.news())
    wake.listen(True)
    assert not wake.wait(0.0)
    wake.close()


def test_a_file_has_no_news_of_its_own(tmp_path: Path) -> None:
    assert new_ledger(tmp_path).news() is None
