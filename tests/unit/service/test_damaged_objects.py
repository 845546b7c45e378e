"""What one run leaves in its own folder harms that run alone: controller, cancel, gc, status."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.domain.states import TERMINAL, DesiredState, RunState
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.maintenance.export import export
from ntlbg_service.maintenance.garbage_collection import find_reclaimable
from ntlbg_service.results.attempts import newest_checkpoint, read_exit, read_results
from ntlbg_service.results.peak_memory import read_peaks
from ntlbg_service.results.run_status import run_statuses
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import CorruptRecordError, LocalStorage, delete_atomically
from tests.support.builders import SUITE, Service, a_beat, new_run

Leave = Callable[[LocalStorage, AttemptKeys], None]


def written(name: str, value: Any) -> Leave:
    """An object with this content, whatever was there."""

    def leave(storage: LocalStorage, keys: AttemptKeys) -> None:
        path = storage.path(f"{keys.folder}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))

    return leave


def marker(**values: Any) -> Leave:
    """A checkpoint of step 1 whose marker says something else."""

    def leave(storage: LocalStorage, keys: AttemptKeys) -> None:
        folder = storage.path(keys.checkpoint(1))
        folder.mkdir(parents=True)
        right = {"attempt": keys.attempt, "step": 1, "path": keys.checkpoint(1)}
        written("checkpoints/step-00000001.json", right | values)(storage, keys)

    return leave


def in_place_of(name: str, act: Callable[[Path], Any]) -> Leave:
    """Something that is no file under an object's name."""

    def leave(storage: LocalStorage, keys: AttemptKeys) -> None:
        path = storage.path(f"{keys.folder}/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        act(path)

    return leave


def next_attempt_in_the_way(act: Callable[[Path], Any]) -> Leave:
    def leave(storage: LocalStorage, keys: AttemptKeys) -> None:
        act(storage.path(AttemptKeys(keys.run_id, keys.attempt + 1).folder))

    return leave


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


AN_EXIT = {"run_id": "x", "attempt": 1, "finished": True, "ended_at": 1.0}
DEEP = "[" * 10_000_000
LEFT: dict[str, Leave] = {
    "marker of attempt 99": marker(attempt=99),
    "marker of another step": marker(step=7),
    "marker of a folder without a step": marker(path="runs"),
    "marker of its own work": marker(path="train"),
    "marker of a huge step": marker(step=10**400),
    "marker with a NUL": marker(path="a\0b"),
    "marker with half a character": written(
        "checkpoints/step-00000001.json", '{"path": "\\ud800"}'
    ),
    "exit of another run": written("exit.json", AN_EXIT),
    "exit at the end of time": written("exit.json", '{"ended_at": 1e999}'),
    "exit is nested": written("exit.json", DEEP),
    "exit is a folder": in_place_of("exit.json", Path.mkdir),
    "exit is a pipe": in_place_of("exit.json", os.mkfifo),
    "exit is huge": in_place_of("exit.json", huge),
    "exit leads out": in_place_of("exit.json", lambda path: path.symlink_to("/etc/passwd")),
    "claim is a pipe": in_place_of("process.json", os.mkfifo),
    "claim is a list": written("process.json", "[]"),
    "claim of another process": written("process.json", {"pid": os.getppid(), "started": 1.0}),
    "heartbeat is a pipe": in_place_of("heartbeat.json", os.mkfifo),
    "heartbeat of a truth": written("heartbeat.json", a_beat(1) | {"step": True}),
    "heartbeat without end": written("heartbeat.json", json.dumps(a_beat(1) | {"time": 1e300})),
    "metrics are a pipe": in_place_of("metrics.jsonl", os.mkfifo),
    "metrics are a folder": in_place_of("metrics.jsonl", Path.mkdir),
    "metrics are huge": in_place_of("metrics.jsonl", huge),
    "metrics at no time": written(
        "metrics.jsonl", '{"attempt": 1, "step": 1, "time": NaN, "values": {"train/loss": 1}}\n'
    ),
    "predictions are a pipe": in_place_of("predictions/glitch.jsonl", os.mkfifo),
    "markers are a file": in_place_of("checkpoints", Path.touch),
    "markers lead out": in_place_of("checkpoints", lambda path: path.symlink_to("/etc")),
    "checkpoints lead out": in_place_of("train", lambda path: path.symlink_to("/etc")),
    "workers are a file": in_place_of("workers", Path.touch),
    "next attempt is a file": next_attempt_in_the_way(Path.touch),
    "next attempt leads out": next_attempt_in_the_way(lambda path: path.symlink_to("/etc")),
    "next attempt leads nowhere": next_attempt_in_the_way(lambda p: p.symlink_to(p / "loop")),
    "next attempt has a spec": lambda storage, keys: written("spec.json", {"run_id": "x"})(
        storage, AttemptKeys(keys.run_id, keys.attempt + 1)
    ),
}


@dataclass
class Crowd:
    """One run for each thing that may be left, and one that leaves nothing."""

    service: Service
    bad: dict[str, LaunchSpec]
    good: LaunchSpec
    notes: list[str]

    def restart(self) -> None:
        self.service.restart()
        effects = replace(self.service.controller.effects, note=self.notes.append)
        self.service.controller = replace(self.service.controller, effects=effects, keep=1)

    def states(self) -> dict[str, RunState]:
        return {left: self.service.ledger.run(of.run_id).state for left, of in self.bad.items()}


@pytest.fixture
def crowd(tmp_path: Path) -> Crowd:
    service = Service(tmp_path / "home", places=len(LEFT) + 1)
    service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(len(LEFT) + 1)])
    service.controller.step()
    good, *bad = service.executor.running.values()
    found = Crowd(service, dict(zip(LEFT, bad, strict=True)), good, [])
    for left, spec in found.bad.items():
        LEFT[left](service.storage, AttemptKeys(spec.run_id, spec.attempt))
    found.restart()
    return found


def test_what_a_run_leaves_harms_that_run_alone(crowd: Crowd) -> None:
    service = crowd.service
    service.controller.step()
    look(service)
    service.executor.complete(crowd.good.run_id)
    for spec in crowd.bad.values():
        service.executor.stop(AttemptKeys(spec.run_id, spec.attempt))
    for _ in range(20):  # A loss waits for some seconds of a clock that goes on as it is read.
        service.controller.step()
    look(service)
    assert service.ledger.run(crowd.good.run_id).state is RunState.FINISHED
    again = [of.run_id for of in crowd.bad.values() if service.ledger.attempts_of(of.run_id)[1:]]
    assert len(again) == len(LEFT)
    assert not [said for said in crowd.notes if "fault" in said]
    for spec in crowd.bad.values():
        service.ledger.request(spec.run_id, DesiredState.CANCEL, "ada")
    crowd.restart()
    for _ in range(2):
        service.controller.step()
    going = {left: state for left, state in crowd.states().items() if state not in TERMINAL}
    assert going == {}
    assert service.ledger.active_attempts() == ()


def look(service: Service) -> None:
    """What the commands read."""
    names = [service.ledger.run(name.run_id) for name in service.ledger.names()]
    assert len(run_statuses(service.ledger, service.storage, names)) == len(names)
    for run in names:
        attempts = service.ledger.attempts_of(run.run_id)
        read_results(service.storage, attempts, ["glitch"])
        newest_checkpoint(service.storage, attempts)
    read_peaks(service.ledger, service.storage)
    for litter in find_reclaimable(service.ledger, service.storage, service.workspace).litter:
        delete_atomically(litter.path)


def test_an_object_closed_to_its_owner_is_damaged(tmp_path: Path) -> None:
    """Also for root, whom no mode keeps out: what is asked is who owns it, and its mode."""
    from ntlbg_service.storage.files import closed_by_owner

    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "exit.json"
    file.touch(mode=0o600)
    assert not closed_by_owner(file)
    file.chmod(0o200)
    assert closed_by_owner(file)
    file.chmod(0o600)
    (tmp_path / "folder").chmod(0o000)
    assert closed_by_owner(tmp_path / "folder")
    assert not closed_by_owner(tmp_path)


def test_an_exit_record_that_cannot_be_read_says_which_file(tmp_path: Path) -> None:
    storage, keys = LocalStorage(tmp_path), AttemptKeys("r", 1)
    written("exit.json", AN_EXIT)(storage, keys)
    record = read_exit(storage, keys)
    assert record is not None and not record.finished
    assert record.message == "storage: runs/r/attempt-0001/exit.json: is of another attempt"


def test_a_message_of_a_run_steers_nothing(tmp_path: Path) -> None:
    storage, keys = LocalStorage(tmp_path), AttemptKeys("r", 1)
    said = {"message": "a\x1b[2J\nb\0c\u202e" + "x" * 10_000}
    written("exit.json", AN_EXIT | {"run_id": "r"} | said)(storage, keys)
    record = read_exit(storage, keys)
    assert record is not None and record.message.isprintable() and len(record.message) < 2000


def test_a_put_where_something_else_lies_is_refused(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(CorruptRecordError, match=r"^storage: file/x.json: "):
        storage.put("file/x.json", {"a": 1})
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("folder.json", "pipe.json"):
        with pytest.raises(Exception, match="is written already"):
            storage.put(name, {"a": 1})


def test_export_passes_over_a_marker_that_is_none(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (spec,) = service.executor.running.values()
    marker(attempt=99)(service.storage, AttemptKeys(spec.run_id, spec.attempt))
    service.executor.complete(spec.run_id)
    service.controller.step()
    run = service.ledger.run(spec.run_id)
    with pytest.raises(Exception, match="cannot be understood"):
        export(service.ledger, service.storage, run, tmp_path / "model")
    # What may be all that is left of a training is nobody's litter.
    assert find_reclaimable(service.ledger, service.storage, service.workspace).litter == ()


def test_a_claim_of_another_process_ends_nothing(tmp_path: Path) -> None:
    storage, keys = LocalStorage(tmp_path), AttemptKeys("r", 1)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            started = psutil.Process(other.pid).create_time()
            storage.put(keys.process, {"pid": other.pid, "started": started})
            executor = LocalExecutor(storage, {})
            assert executor.status(keys) is LaunchStatus.ENDED
            executor.stop(keys)
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("claim", ["[]", '{"pid": 1}', '{"pid": "x", "started": true}'])
def test_a_driver_is_found_though_its_claim_is_damaged(tmp_path: Path, claim: str) -> None:
    storage, keys = LocalStorage(tmp_path), AttemptKeys("r", 1)
    words = ["-c", "import time; time.sleep(60)", "-m", str(storage.path(keys.spec))]
    with subprocess.Popen([sys.executable, *words]) as driver:
        try:
            assert LocalExecutor(storage, {}).status(keys) is LaunchStatus.ABSENT
            written("process.json", claim)(storage, keys)
            assert LocalExecutor(storage, {}).status(keys) is LaunchStatus.RUNNING
            LocalExecutor(storage, {}).stop(keys)
            assert driver.wait(10) is not None
        finally:
            driver.kill()
