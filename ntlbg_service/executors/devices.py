"""Whether the processes of a launch still hold memory of a GPU, after they were ended.

A process can be gone for its parent while the driver has not given its memory back, or can be one
that no signal ends. What starts on such a device meanwhile runs out of memory there.
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
"""How long a stop waits for the memory. Ray's report of a node is up to five seconds old."""
TICK_SECONDS = 0.5


class DeviceHeldError(InfrastructureError):
    """What was stopped still holds memory of a GPU: its place is not free."""


def workers_of(storage: Storage, keys: AttemptKeys) -> tuple[WorkerLocation, ...]:
    """Where the workers of an attempt are or were, as they said when they began."""
    found = [read_intact(storage, WorkerLocation, key) for key in storage.keys(keys.workers)]
    return tuple(where for where in found if where is not None)


def held_here(workers: Sequence[WorkerLocation]) -> list[str]:
    """What NVML of this machine says that these workers hold, in words."""
    import pynvml

    host = socket.gethostname()
    pids = {worker.pid for worker in workers if worker.host == host}
    if not pids:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # No GPU that anyone could hold.
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
    """What NVML of a cluster's nodes, as Ray's dashboard reports it, says that these workers
    hold. Of a node that is gone the dashboard still has the last report."""
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
    """Return when nothing is held any more. Raises DeviceHeldError where that takes too long."""
    found: Sequence[str] = ()
    for _ in range(int(BACK_SECONDS / TICK_SECONDS)):
        found = held()
        if not found:
            return
        pause(TICK_SECONDS)
    raise DeviceHeldError(f"{'; '.join(found)}, though it was stopped: its place is not free")
