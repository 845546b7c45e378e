"""A controller in a process of its own, told what to do over a pipe; its world is simulated.

Ledger, storage, lease and fencing are the real ones. Only what a cluster would do is not: a launch
claims its attempt in storage, and ends when it is told to, by writing its exit record there; other
processes do that, as they would in a cluster.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ntlbg_service.controller import Controller
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.lease import Lease
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.launch import LaunchSpec, to_json
from ntlbg_service.domain.retention import KEPT
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.process.fault_points import FaultPoints
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.simulated_executor import SimulatedExecutor, finishes

PATIENCE = 30.0
"""Seconds for a controller to end where the benchmark did not come to its end."""
PROCESSES = 2
"""Of the cluster, that write into storage."""


def gpus_of(spec: LaunchSpec) -> float:
    """GPUs that a launch holds."""
    return spec.fit.workers * spec.fit.share


class SimulatedCluster(SimulatedExecutor):
    """Launches that claim and end themselves."""

    def __init__(self, storage: LocalStorage) -> None:
        super().__init__(storage)
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(PROCESSES, spawn, _look_at, (storage.root,))
        self._claims: dict[str, Future[None]] = {}

    def launch(self, spec: LaunchSpec) -> None:
        """Start a process that claims its attempt."""
        keys = AttemptKeys(spec.run_id, spec.attempt)
        self.running[keys.folder] = spec
        claim = {"launch": spec.launch_id}
        self._claims[keys.folder] = self._pool.submit(_put, {keys.process: claim})

    def end(self, gpus: float) -> int:
        """Let runs end that hold so many GPUs together; how many did."""
        ending: list[LaunchSpec] = []
        for spec in self.running.values():
            if gpus <= 0:
                break
            gpus -= gpus_of(spec)
            ending.append(spec)
        keys = [AttemptKeys(spec.run_id, spec.attempt) for spec in ending]
        for each in keys:
            self._claims.pop(each.folder).result()
        records = [(k.exit, to_json(finishes(s))) for k, s in zip(keys, ending, strict=True)]
        list(self._pool.map(_put, [dict(records[n::PROCESSES]) for n in range(PROCESSES)]))
        for each in keys:
            self.stop(each)
        return len(ending)

    def close(self) -> None:
        """End its processes."""
        self._pool.shutdown()


_storages: list[LocalStorage] = []
"""Of a process of the cluster: one."""


def _look_at(root: Path) -> None:
    _storages.append(LocalStorage(root))


def _put(values: dict[str, Mapping[str, Any]]) -> None:
    for key, value in values.items():
        _storages[0].put(key, value)


class Leading:
    """A controller that leads, and its world."""

    def __init__(self, url: str, workspace: Workspace, inventory: Inventory) -> None:
        self.storage = LocalStorage(workspace.storage)
        ledger = Ledger(open_database(url), time.time)
        self.lease = Lease(ledger, time.monotonic)
        assert self.lease.hold() and self.lease.term is not None
        self.executor = SimulatedCluster(self.storage)
        self.controller = Controller(
            effects=Effects(
                ledger=ledger.under(self.lease.term),
                storage=self.storage,
                executor=self.executor,
                door=FaultPoints(leads=self.lease.check),
            ),
            workspace=workspace,
            ground=ClusterView(inventory=inventory),
            clock=time.monotonic,
            keep=KEPT,
        )

    def step(self) -> float:
        """Seconds of one step."""
        begun = time.perf_counter()
        assert self.lease.hold()
        self.controller.step()
        return time.perf_counter() - begun


def peak_mib() -> float:
    """Peak of the memory of this process that was resident, its own alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def lead(pipe: Connection, url: str, workspace: Workspace, inventory: Inventory) -> None:
    """The process: answers each of its orders with a value."""
    leading = Leading(url, workspace, inventory)
    pipe.send(None)
    acts: dict[str, Callable[..., Any]] = {
        "step": leading.step,
        "end": leading.executor.end,
        "cpu": time.process_time,
    }
    while (order := pipe.recv()) is not None:
        name, *values = order
        if name == "lives":
            _lives(pipe, leading, *values)
        else:
            pipe.send(acts[name](*values))
    leading.executor.close()
    pipe.send(peak_mib())


def _lives(pipe: Connection, leading: Leading, number: int) -> None:
    """Let everything that runs end, step after step, until so many have ended; says how many after
    each step."""
    ended = 0
    while ended < number:
        ended += leading.executor.end(float("inf"))
        leading.step()
        pipe.send(ended)


@dataclass
class Process:
    """The other end of the pipe."""

    pipe: Connection
    peak: float = 0.0
    """MiB, once it has ended."""

    def ask(self, *order: Any) -> Any:
        """Give an order and wait for its answer."""
        self.pipe.send(order)
        return self.pipe.recv()


@contextmanager
def controller_process(url: str, workspace: Workspace, inventory: Inventory) -> Iterator[Process]:
    """A controller that leads for as long as the block lasts."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=lead, args=(theirs, url, workspace, inventory))
    process.start()
    theirs.close()
    controller = Process(ours)
    ours.recv()
    try:
        yield controller
        ours.send(None)
        controller.peak = ours.recv()
    finally:
        ours.close()
        process.join(timeout=PATIENCE)
        process.kill()  # Nothing to do where it has ended.
