"""A process is known again by its id and its start, whatever becomes of the wall clock."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ntlbg_service.storage.claims import boot, claim_of_this_process, claimant, started


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin and not process.stdin.closed:
        process.communicate(b"\n")


def claim_of(pid: int) -> dict[str, object]:
    return {"pid": pid, "started": started(pid), "boot": boot()}


def test_this_process_finds_itself() -> None:
    found = claimant(claim_of_this_process())
    assert found is not None and found.pid == os.getpid()


def test_a_process_is_the_same_when_the_clock_was_set(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil tells its start by the wall clock; an hour more there is an hour more here."""
    claim, before = claim_of(child.pid), psutil.Process(child.pid).create_time()
    true_boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: true_boot + 3600)
    assert psutil.Process(child.pid).create_time() - before > 3500
    assert claimant(claim) is not None


def test_a_namesake_is_another(child: subprocess.Popen[bytes]) -> None:
    claim = claim_of(child.pid)
    assert claimant({**claim, "started": started(child.pid) - 1}) is None
    assert claimant({**claim, "boot": "another boot of this machine"}) is None
    assert claimant({**claim, "pid": "no number"}) is None
    end(child)
    assert claimant(claim) is None


def test_claims_of_earlier_versions_are_read(child: subprocess.Popen[bytes]) -> None:
    by_the_clock = psutil.Process(child.pid).create_time()
    assert claimant({"pid": child.pid, "started": by_the_clock}) is not None
    assert claimant({"pid": child.pid, "started": by_the_clock - 86400}) is None
