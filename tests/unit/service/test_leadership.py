"""Who leads: one at a time, the next at once where a death can be seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntlbg_service.controller.lease import A_MOMENT, Lease, in_words, seen_dead, this_process
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.transactions import LeadershipLostError
from ntlbg_service.process.wakeup import Wakeup, notify
from ntlbg_service.storage.claims import boot, started
from tests.support.builders import new_ledger


def a_dead_process() -> str:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = f"{started(child.pid):.2f}@{boot()}"
    name = "/".join([*this_process().split("/")[:2], str(child.pid), start])
    assert not seen_dead(name)
    child.communicate(b"\n")
    return name


def test_a_living_leader_keeps_the_lead_and_gives_it_back(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    first = Lease(ledger, lambda: 0.0)
    second = Lease(ledger, lambda: 0.0, holder="another machine")
    assert first.hold() and not second.hold()
    first.release()
    assert second.hold()
    with pytest.raises(LeadershipLostError, match="leads no more"):
        first.check()


def test_the_answer_to_a_check_counts_for_a_moment(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    now = [0.0]
    first = Lease(ledger, lambda: now[0])
    assert first.hold()
    first.check()
    assert ledger.lead("another", 0.0) is None
    ledger.resign(first.term)  # type: ignore[arg-type]
    assert ledger.lead("another", 1e9) is not None
    first.check()
    now[0] += A_MOMENT
    with pytest.raises(LeadershipLostError, match="leads no more"):
        first.check()
    with pytest.raises(LeadershipLostError):
        first.check()


def test_a_dead_leader_of_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    dead = Lease(ledger, lambda: 0.0, holder=a_dead_process())
    assert dead.hold()
    next_one = Lease(ledger, lambda: 0.0)
    assert next_one.hold()
    with pytest.raises(LeadershipLostError):
        dead.check()


def test_only_processes_of_this_machine_are_seen_dead() -> None:
    assert not seen_dead(this_process())
    assert not seen_dead("elsewhere/1/1/1.0")
    assert not seen_dead("a word")
    assert in_words(this_process()) == f"process {os.getpid()} on {this_process().split('/')[0]}"


def test_news_wakes_who_listens_and_no_one_else(tmp_path: Path) -> None:
    pipe = tmp_path / "wake"
    notify(pipe)  # Nobody is there; nothing happens.
    leader, standby = Wakeup(pipe), Wakeup(pipe)
    leader.listen(True)
    notify(pipe)
    standby.wait(0.0)
    leader.wait(600.0)
    leader.alarm()
    leader.wait(600.0)
    leader.listen(False)
    notify(pipe)
    leader.close()
    standby.close()


@pytest.fixture
def clocks() -> dict[str, float]:
    """Unix time of who leads and of who stands by, and the monotonic clock of the latter."""
    return {"leader": 1e9, "standby": 1e9, "waited": 0.0}


def two(
    url: str, clocks: dict[str, float], seconds: float = 30.0
) -> tuple[Lease, Lease, Ledger, Ledger]:
    """A leader on one machine and who stands by on another, each with clocks of its own."""
    first = Ledger(open_database(url), lambda: clocks["leader"])
    second = Ledger(open_database(url), lambda: clocks["standby"])
    leads = Lease(first, lambda: clocks["leader"], holder="one/1/1/1.0", seconds=seconds)
    stands_by = Lease(second, lambda: clocks["waited"], holder="two/1/1/1.0", seconds=10.0)
    return leads, stands_by, first, second


@pytest.mark.parametrize("ahead", [0.0, 3600.0, -3600.0, 1e8])
def test_a_lease_lasts_no_longer_than_it_is_long(
    ledger_url: str, clocks: dict[str, float], ahead: float
) -> None:
    """Whatever the clock says that has written it, and whatever another one is set to since."""
    clocks["leader"] += max(ahead, 0.0)
    leads, stands_by, first, second = two(ledger_url, clocks)
    assert leads.hold() and not stands_by.hold()
    clocks["standby"] += min(ahead, 0.0)
    clocks["waited"] = 29.0
    assert not stands_by.hold()
    clocks["waited"] = 30.0
    assert stands_by.hold()
    clocks["leader"] += 1.0
    with pytest.raises(LeadershipLostError):
        leads.check()
    assert leads.term is None and not leads.hold()
    first.close()
    second.close()


def test_a_lease_that_is_renewed_is_nobody_elses(ledger_url: str, clocks: dict[str, float]) -> None:
    clocks["leader"] += 3600.0
    leads, stands_by, first, second = two(ledger_url, clocks)
    for _ in range(20):
        assert leads.hold() and not stands_by.hold()
        clocks["leader"] += 15.0
        clocks["waited"] += 15.0
    # Renewed between what was read of it and what would be written: it stays its holder's.
    left = second.written()
    assert leads.hold()
    assert second.succeed(left, "two/1/1/1.0", 10.0) is None
    assert first.holds(leads.term)  # type: ignore[arg-type]
    first.close()
    second.close()


def test_of_two_that_wait_one_succeeds(ledger_url: str, clocks: dict[str, float]) -> None:
    _, _, first, second = two(ledger_url, clocks)
    assert first.lead("one/1/1/1.0", 30.0) is not None
    left = first.written()
    terms = [ledger.succeed(left, name, 30.0) for ledger, name in ((first, "b"), (second, "c"))]
    assert [term is not None for term in terms] == [True, False]
    first.close()
    second.close()


def test_a_lease_of_older_code_lasts_as_long_as_ours(
    ledger_url: str, clocks: dict[str, float]
) -> None:
    clocks["leader"] += 3600.0
    leads, stands_by, first, second = two(ledger_url, clocks, seconds=0.0)
    leads.seconds = 0.0
    assert first.lead("one/1/1/1.0", 0.0) is not None
    assert not stands_by.hold()
    clocks["waited"] = 10.0
    assert stands_by.hold()
    first.close()
    second.close()
