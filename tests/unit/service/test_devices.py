"""A place is free when NVML shows no process of the launch on the device any more."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pynvml
import pytest

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import WorkerLocation, to_json
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.devices import DeviceHeldError, await_memory, held_on_nodes
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.storage.claims import claim_of_this_process
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage

KEYS = AttemptKeys("run", 1)


@dataclass(frozen=True)
class Process:
    pid: int


@dataclass
class Nvml:
    """Two GPUs, the second with the processes that a test puts there."""

    processes: list[Process] = field(default_factory=list)
    looks: int = 0
    back_after: int = 10**9
    """Looks after which the driver has given the memory back."""

    def running(self, handle: int) -> list[Process]:
        if handle == 0:
            return [Process(1)]
        self.looks += 1
        return self.processes if self.looks <= self.back_after else []


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Nvml:
    found = Nvml()
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", found.running)
    monkeypatch.setattr("ntlbg_service.executors.devices.TICK_SECONDS", 0.01)
    monkeypatch.setattr("ntlbg_service.executors.devices.BACK_SECONDS", 0.1)
    return found


def worker(pid: int, host: str | None = None) -> WorkerLocation:
    return WorkerLocation(rank=0, node="n1", host=host or socket.gethostname(), pid=pid)


@pytest.fixture
def ended(tmp_path: Path, nvml: Nvml) -> LocalExecutor:
    """An attempt whose driver has ended, and whose worker NVML still shows."""
    storage = LocalStorage(tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    storage.put(KEYS.process, claim_of_this_process() | {"pid": gone.pid})
    storage.put(KEYS.worker(0), to_json(worker(gone.pid)))
    nvml.processes = [Process(gone.pid)]
    return LocalExecutor(storage, os.environ)


def test_a_launch_has_not_ended_while_it_holds_a_gpu(ended: LocalExecutor, nvml: Nvml) -> None:
    assert ended.status(KEYS) is LaunchStatus.RUNNING
    with pytest.raises(DeviceHeldError, match=r"holds memory of GPU 1 of .*its place is not free"):
        ended.stop(KEYS)
    assert ended.status(KEYS) is LaunchStatus.RUNNING
    nvml.processes = [Process(4)]
    assert ended.status(KEYS) is LaunchStatus.ENDED


def test_a_stop_waits_for_the_memory(ended: LocalExecutor, nvml: Nvml) -> None:
    nvml.back_after = 3
    ended.stop(KEYS)
    assert nvml.looks == 4


def test_without_nvml_nothing_is_held(
    ended: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    assert ended.status(KEYS) is LaunchStatus.ENDED


def test_a_cluster_tells_it_of_each_node() -> None:
    """As Ray's dashboard reports NVML: the same process id on another node is another process."""
    holding = [{"pid": 7, "gpuMemoryUsage": 30_000}]

    def row(
        node: str, processes: list[dict[str, int]] | None, state: str = "ALIVE"
    ) -> dict[str, object]:
        gpus = [{"index": 3, "processesPids": processes}]
        raylet = {"nodeId": node, "state": state}
        return {"hostname": f"host-{node}", "raylet": raylet, "gpus": gpus}

    def held(*rows: dict[str, object]) -> list[str]:
        return held_on_nodes({"data": {"summary": list(rows)}}, [worker(7)])

    assert held(row("n1", None), row("n2", holding)) == []
    assert held(row("n1", holding)) == ["process 7 holds memory of GPU 3 of host-n1"]
    assert held(row("n1", holding, "DEAD")) == []
    await_memory(lambda: held(row("n2", holding)))
    with pytest.raises(InfrastructureError, match="not understood"):
        held({"hostname": "host-n1"})
