"""Who leads: one at a time, the next at once where a death can be seen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntlbg_service.leadership import A_MOMENT, Lease, in_words, seen_dead, this_process
from ntlbg_service.ledger.transactions import DeposedError
from ntlbg_service.storage.claims import boot, started
from ntlbg_service.wake import Wake, poke
from tests.builders import new_ledger


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
    first.give_back()
    assert second.hold()
    with pytest.raises(DeposedError, match="leads no more"):
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
    with pytest.raises(DeposedError, match="leads no more"):
        first.check()
    with pytest.raises(DeposedError):
        first.check()


def test_a_dead_leader_of_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    dead = Lease(ledger, lambda: 0.0, holder=a_dead_process())
    assert dead.hold()
    next_one = Lease(ledger, lambda: 0.0)
    assert next_one.hold()
    with pytest.raises(DeposedError):
        dead.check()


def test_only_processes_of_this_machine_are_seen_dead() -> None:
    assert not seen_dead(this_process())
    assert not seen_dead("elsewhere/1/1/1.0")
    assert not seen_dead("a word")
    assert in_words(this_process()) == f"process {os.getpid()} on {this_process().split('/')[0]}"


def test_news_wakes_who_listens_and_no_one_else(tmp_path: Path) -> None:
    pipe = tmp_path / "wake"
    poke(pipe)  # Nobody is there; nothing happens.
    leader, standby = Wake(pipe), Wake(pipe)
    leader.listen(True)
    poke(pipe)
    standby.wait(0.0)
    leader.wait(600.0)
    leader.alarm()
    leader.wait(600.0)
    leader.listen(False)
    poke(pipe)
    leader.close()
    standby.close()
