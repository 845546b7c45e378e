"""A home of a lab's group: three accounts submit, lead and look; whoever has no rights is told."""

import importlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.executors.local import _signal
from ntlbg_service.process.permissions import follow
from ntlbg_service.storage.claims import hidden, lives
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.accounts import (
    ADA,
    BOB,
    EVE,
    LAB,
    STRANGER,
    SWITCHES,
    Account,
    Said,
    act_as,
    everything_in,
    lab_folder,
    say,
)
from tests.support.builders import SUITE, Service, a_beat, new_run
from tests.support.simulated_executor import SimulatedExecutor
from tests.support.small_suites import LAB as NODES
from tests.support.small_suites import a_suite


class AtOnce(SimulatedExecutor):
    """Launches that leave a log and an exit record as they start."""

    def launch(self, spec: LaunchSpec) -> None:
        super().launch(spec)
        log = self.storage.path(AttemptKeys(spec.run_id, spec.attempt).log)
        log.write_text(f"words of {spec.run_id}\n")
        self.complete(spec.run_id)


LINES = 5
"""Commands of `look`."""


@pytest.fixture(scope="module")
def led() -> Iterator[Path]:
    """A lab's folder: Ada has submitted to its home, Bob has led and finished her runs."""
    # Imported once, for all the processes that are forked from here.
    importlib.import_module("mlflow")
    importlib.import_module("ntlbg_model.tracing.trace")
    importlib.import_module("ntlbg_service.report.suite_report")
    with pytest.MonkeyPatch.context() as patch, lab_folder() as folder:
        choice = "ntlbg_service.executors.choice.executor"
        patch.setattr(choice, lambda storage, *_: AtOnce(storage))
        suite = a_suite(folder, "start", {"video.max_frames": 16})
        suite.write_text(json.dumps(json.loads(suite.read_text()) | {"seeds": [1, 2]}))
        row = {"profile": NODES.groups[0].profile, "gpus": 8, "cores": 96, "host_memory_gib": 768}
        (folder / "nodes.json").write_text(json.dumps({"name": "lab", "groups": [row]}))
        for file in folder.iterdir():
            file.chmod(0o644)
        submit(folder, ADA)
        words = ("--until-idle", "--inventory", folder / "nodes.json")
        said = act_as(BOB, lambda: say("controller", *words, *home(folder)))
        assert said.code == 0 and "leads" in said.out and "nothing is left to do" in said.out, said
        yield folder


@pytest.fixture
def lab(led: Path) -> Iterator[Path]:
    """The same, for a test that changes it."""
    before = led / "before"
    subprocess.run(["cp", "-a", led / "home", before], check=True)
    yield led
    shutil.rmtree(led / "home")
    before.rename(led / "home")


def submit(lab: Path, account: Account, home_of: Path | None = None, umask: int = 0o002) -> None:
    at = ("--home", home_of or lab / "home", "--inventory", lab / "nodes.json")
    said = act_as(account, lambda: say("submit", lab / "suite.json", *at), umask)
    assert said.code == 0, said


def home(lab: Path) -> tuple[str | Path, ...]:
    return ("--home", lab / "home")


def look(lab: Path, account: Account) -> tuple[Said, ...]:
    """What each command that only looks prints to an account."""
    one = ("explain", "g/start:1"), ("logs", "g/start:1")
    every = (("status",), *one, ("usage",), ("compare", lab / "suite.json"))
    return act_as(account, lambda: tuple(say(*words, *home(lab)) for words in every))


def backed_up(lab: Path) -> Said:
    with tempfile.TemporaryDirectory() as folder:
        return say("db", "backup", Path(folder) / "copy.db", *home(lab))


def first_attempt(lab: Path, account: Account) -> AttemptKeys:
    """The attempt of the suite's first seed."""
    rows = json.loads(act_as(account, lambda: say("status", "--json", *home(lab))).out)
    return AttemptKeys(next(row["run_id"] for row in rows if row["seed"] == 1), 1)


def test_three_accounts_share_a_home(lab: Path) -> None:
    for account in (ADA, BOB, EVE):
        status, explain, logs, usage, compare = look(lab, account)
        assert [each.code for each in (status, explain, logs, usage, compare)] == [0] * LINES
        assert "2 finished" in status.out and status.out.count("attempt 1") == 2
        assert "submitted" in explain.out and "by ada" in explain.out
        assert logs.out.startswith("words of ")
        assert "Report: " in compare.out and "not written" not in compare.out
    told = act_as(EVE, lambda: say("mlflow", "check", *home(lab)))
    assert told.code == 0, told
    numbers = {each.number for each in (ADA, BOB, EVE)} if SWITCHES else {os.geteuid()}
    for path in everything_in(lab / "home"):
        found = path.lstat()
        wanted = 0o2770 if path.is_dir() else 0o660
        assert (oct(stat.S_IMODE(found.st_mode)), found.st_gid) == (oct(wanted), LAB), path
        assert found.st_uid in numbers, path


def test_what_an_older_version_made_for_itself_is_opened_by_its_owner(lab: Path) -> None:
    ledger = lab / "home/ledger.db"
    ledger.chmod(0o644)
    said = act_as(BOB, lambda: say("status", *home(lab)))
    assert said.code == 0, said
    said = act_as(ADA, lambda: say("status", *home(lab)))
    assert said.code == 0 and stat.S_IMODE(ledger.stat().st_mode) == 0o660


def test_a_private_home_is_its_owners_alone(led: Path) -> None:
    with lab_folder(0o0777) as folder:
        submit(led, ADA, folder / "home", umask=0o022)
        for path in everything_in(folder / "home"):
            assert not path.lstat().st_mode & 0o077, path


def test_a_group_that_may_only_read_looks_and_changes_nothing(lab: Path) -> None:
    for path in everything_in(lab / "home"):
        path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~0o222)
    looked = look(lab, EVE)
    assert [said.code for said in looked] == [0] * LINES
    assert "2 finished" in looked[0].out
    written = "Report: not written: " if SWITCHES else "Report: "
    assert written in looked[-1].out
    copied = act_as(EVE, lambda: backed_up(lab))
    assert copied.code == 0 and "bytes" in copied.out, copied
    at = (*home(lab), "--inventory", lab / "nodes.json")
    refused = act_as(
        EVE,
        lambda: (
            say("submit", lab / "suite.json", *at),
            say("users", "add-operator", "eve", *home(lab)),
            say("controller", "--until-idle", *at),
            say("ui", *home(lab)),
        ),
    )
    for said in refused:
        assert said.code == 2 and "can only be read: " in said.err, said
        assert said.err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "submit", "controller", "compare", "ui"])
def test_whoever_has_no_rights_is_told_in_one_line(lab: Path, command: str) -> None:
    if not SWITCHES:
        (lab / "home").chmod(0)
    words = (lab / "suite.json",) if command in ("submit", "compare") else ()
    said = act_as(STRANGER, lambda: say(command, *words, *home(lab)))
    (lab / "home").chmod(0o2770)
    assert (said.code, said.out) == (2, ""), said
    assert said.err.count("\n") == 1 and "belongs to " in said.err


def test_an_object_that_cannot_be_read_is_said_on_the_line_of_its_run(lab: Path) -> None:
    keys = first_attempt(lab, ADA)
    (lab / "home/storage" / keys.exit).chmod(0o600 if SWITCHES else 0)
    _, explain, _, usage, compare = look(lab, EVE)
    assert (explain.code, usage.code, compare.code) == (0, 0, 0)
    words = " ".join(explain.out.split())
    assert "Permission denied" in words and "belongs to" in words and "chmod" in words
    assert "not read: storage: " in (lab / "home/storage/reports/s.html").read_text()
    again = act_as(EVE, lambda: say("explain", "g/start:2", *home(lab)))
    assert "Permission denied" not in again.out


def test_status_goes_on_where_a_run_cannot_be_read(lab: Path) -> None:
    def run() -> str:
        follow(lab)
        service = Service(lab / "running")
        service.ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2)])
        service.controller.step()
        attempts = service.ledger.active_attempts()
        for attempt in attempts:
            keys = AttemptKeys(attempt.run_id, attempt.number)
            service.storage.touch(keys.heartbeat, a_beat(3))
        return keys.heartbeat

    heartbeat = lab / "running/storage" / act_as(ADA, run)
    heartbeat.chmod(0o600 if SWITCHES else 0)
    said = act_as(BOB, lambda: say("status", "--home", lab / "running"))
    shutil.rmtree(lab / "running")
    assert said.code == 0, said
    denied = [line for line in said.out.splitlines() if "Permission denied" in line]
    assert len(denied) == 1 and "belongs to" in denied[0] and "chmod" in denied[0]
    assert said.out.count("running") >= 2 and "training 3/4" in said.out


def test_a_driver_of_another_account_is_not_taken_for_stopped() -> None:
    """Nor for dead: where its place was given away, two would be on one GPU."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as driver:
        claim = {"pid": driver.pid, "started": psutil.Process(driver.pid).create_time()}

        def stop() -> str:
            assert lives(claim) and not hidden(claim)
            try:
                _signal([psutil.Process(driver.pid)], "terminate")
            except InfrastructureError as error:
                return str(error)
            return ""

        said = act_as(BOB, stop)
        assert ("was started by another account: only that account or root" in said) is SWITCHES
        driver.kill()
    assert not lives(claim)
