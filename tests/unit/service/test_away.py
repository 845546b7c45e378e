"""A storage or a machine that gives nothing for a while: nothing is lost, nothing is done twice."""

import errno
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.runner.failures import FailureClass, classify
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import CorruptRecordError, LocalStorage, StorageUnavailableError
from tests.support.builders import SUITE, Service, a_beat, new_run


class Disk:
    """Refuses what is asked of files whose path has a word in it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = ""
        self.number = errno.EIO
        real_open, real_read = os.open, Path.read_bytes
        monkeypatch.setattr(os, "open", self._checked(real_open))
        monkeypatch.setattr(Path, "read_bytes", self._checked(real_read))
        monkeypatch.setattr(os, "lstat", self._checked(os.lstat))

    def _checked(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Path, *more: Any, **named: Any) -> Any:
            if self.refuses and self.refuses in str(path):
                raise OSError(self.number, os.strerror(self.number), str(path))
            return act(path, *more, **named)

        return checked


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def noting(service: Service) -> list[str]:
    """What the controller says from now on."""
    said: list[str] = []
    effects = replace(service.controller.effects, note=said.append)
    service.controller = replace(service.controller, effects=effects)
    return said


@pytest.mark.parametrize(
    "act",
    [
        lambda storage: storage.put("runs/a.json", {"a": 1}),
        lambda storage: storage.put_all({"runs/a.json": {"a": 1}, "runs/b.json": {"b": 1}}),
        lambda storage: storage.touch("runs/a.json", {"a": 1}),
        lambda storage: storage.get("runs/there.json"),
    ],
)
def test_what_the_system_says_is_one_kind_of_error(
    tmp_path: Path, disk: Disk, act: Callable[[LocalStorage], None]
) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("runs/there.json", {"a": 1})
    disk.refuses, disk.number = "runs", errno.ESTALE
    with pytest.raises(
        StorageUnavailableError, match=r"^storage: runs/\w+.json: Stale file handle$"
    ) as e:
        act(storage)
    assert classify(e.value)[0] is FailureClass.INFRASTRUCTURE
    disk.refuses = ""
    act(storage)


def test_an_object_that_is_a_folder_is_damaged_for_good(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    (tmp_path / "runs/a.json").mkdir(parents=True)
    with pytest.raises(CorruptRecordError):
        storage.get("runs/a.json")
    assert list(storage.lines("runs/a.json")) == []


def test_an_exit_record_that_cannot_be_read_now_is_waited_for(tmp_path: Path, disk: Disk) -> None:
    service = Service(tmp_path / "home")
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    service.controller.step()
    service.executor.complete(run_id)
    said = noting(service)
    disk.refuses = "exit.json"
    for _ in range(3):
        assert service.controller.step()
    assert service.ledger.run(run_id).state is RunState.RUNNING
    assert len(said) == 1 and said[0].endswith("exit.json: Input/output error")
    disk.refuses = ""
    assert not service.controller.step()
    assert service.ledger.run(run_id).state is RunState.FINISHED
    assert len(service.ledger.attempts_of(run_id)) == 1


def test_a_full_storage_starts_nothing_and_ends_nothing(tmp_path: Path, disk: Disk) -> None:
    service = Service(tmp_path / "home")
    run_ids = service.ledger.submit(SUITE, [new_run(seed=1), new_run(seed=2)]).new
    said = noting(service)
    disk.refuses, disk.number = str(service.storage.root), errno.ENOSPC
    for _ in range(3):
        assert service.controller.step()
    assert not service.executor.running
    assert any("No space left on device" in line for line in said)
    disk.refuses = ""
    service.run_all()
    for run_id in run_ids:
        assert service.ledger.run(run_id).state is RunState.FINISHED
        assert [attempt.number for attempt in service.ledger.attempts_of(run_id)] == [1]


def test_who_could_not_be_seen_is_not_hung(tmp_path: Path, disk: Disk) -> None:
    service = Service(tmp_path / "home")
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    service.controller.step()
    service.storage.touch(AttemptKeys(run_id, 1).heartbeat, a_beat(7))
    service.controller.step()
    disk.refuses = "heartbeat"
    for _ in range(int(Timeouts.heartbeat) + 5):  # Ticks: seconds a look.
        service.controller.step()
    disk.refuses = ""
    service.controller.step()
    (attempt,) = service.ledger.attempts_of(run_id)
    assert attempt.state is AttemptState.LAUNCHED
    for _ in range(int(Timeouts.heartbeat) + 5):
        service.controller.step()
    assert service.ledger.attempts_of(run_id)[0].state is AttemptState.LOST


def test_a_machine_that_starts_no_process_more_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(tmp_path / "home")
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    executor = LocalExecutor(service.storage, os.environ)
    effects = replace(service.controller.effects, executor=executor)
    service.controller = replace(service.controller, effects=effects)
    said = noting(service)

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refused)
    for _ in range(3):
        assert service.controller.step()
    (attempt,) = service.ledger.attempts_of(run_id)
    assert attempt.state is AttemptState.LAUNCHED
    assert said[1:] == [f"no driver for {attempt.launch_id}: Resource temporarily unavailable"]
