"""GPU memory that the processes of a launch still hold after they were stopped.

A process can be gone for its parent before the driver has released its memory, or can be one that
no signal ends. Whatever starts on such a device meanwhile runs out of memory.
"""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import WorkerLocation
from ntlbg_service.executors.nvml import compute_processes
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage
from ntlbg_service.storage.typed_records import read_intact

BACK_SECONDS = 10.0
"""Seconds that a stop waits for the memory. Ray's report of a node is up to five seconds old."""
TICK_SECONDS = 0.5


class DeviceHeldError(InfrastructureError):
    """A stopped launch still holds memory of a GPU: its slot is not free."""


def workers_of(storage: Storage, keys: AttemptKeys) -> tuple[WorkerLocation, ...]:
    """Return the locations of an attempt's workers, as they recorded them when they started."""
    found = [read_intact(storage, WorkerLocation, key) for key in storage.keys(keys.workers)]
    return tuple(where for where in found if where is not None)


def held_here(workers: Sequence[WorkerLocation]) -> list[str]:
    """Return in words what these workers hold on this machine, according to NVML."""
    import pynvml

    host = socket.gethostname()
    pids = {worker.pid for worker in workers if worker.host == host}
    if not pids:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # There is no GPU to hold.
    try:
        return [
            f"process {process.pid} holds memory of GPU {index} of {host}"
            for index in range(pynvml.nvmlDeviceGetCount())
            for process in compute_processes(pynvml.nvmlDeviceGetHandleByIndex(index))
            if process.pid in pids
        ]
    except pynvml.NVMLError as error:
        raise InfrastructureError(f"NVML of {host}: {error}") from None
    finally:
        pynvml.nvmlShutdown()


def held_on_nodes(answer: Mapping[str, Any], workers: Sequence[WorkerLocation]) -> list[str]:
    """Return in words what these workers hold on a cluster's nodes, as the dashboard reports it.

    The dashboard keeps the last report of a node that is gone, so only live nodes count.
    """
    pids: dict[str, set[int]] = {}
    for worker in workers:
        pids.setdefault(worker.node, set()).add(worker.pid)
    try:
        return [
            f"process {process['pid']} holds memory of GPU {gpu['index']} of {row['hostname']}"
            for row in answer["data"]["summary"]
            if row["raylet"]["state"] == "ALIVE"
            for gpu in row.get("gpus") or ()
            for process in gpu.get("processesPids") or ()
            if process["pid"] in pids.get(row["raylet"]["nodeId"], ())
        ]
    except (KeyError, TypeError) as error:
        raise InfrastructureError(f"Ray's list of nodes is not understood ({error!r})") from None


def await_memory(
    held: Callable[[], Sequence[str]], pause: Callable[[float], None] = time.sleep
) -> None:
    """Return once nothing is held. Raises DeviceHeldError after `BACK_SECONDS`."""
    found: Sequence[str] = ()
    for _ in range(int(BACK_SECONDS / TICK_SECONDS)):
        found = held()
        if not found:
            return
        pause(TICK_SECONDS)
    raise DeviceHeldError(f"{'; '.join(found)}, though it was stopped: its place is not free")
