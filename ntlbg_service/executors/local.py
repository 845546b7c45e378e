"""Executor for one machine: one driver subprocess per launch, each with a local Ray of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

import psutil

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.devices import await_memory, held_here, workers_of
from ntlbg_service.executors.environment import local_driver, with_code
from ntlbg_service.executors.own_gpus import VISIBLE, own_gpus
from ntlbg_service.storage.claims import driver_of, hidden, read_claim
from ntlbg_service.storage.files import opened
from ntlbg_service.storage.layout import OWN_GPUS, AttemptKeys, ray_token
from ntlbg_service.storage.local import Storage

OF_ANOTHER = "was started by another account: only that account or root can stop it"
GRACE_SECONDS = 10.0
"""Seconds between SIGTERM and SIGKILL."""


class LocalExecutor:
    """Executor whose drivers outlive the controller; another finds them by the claim in storage."""

    name = "local"

    def __init__(self, storage: Storage, environment: Mapping[str, str]) -> None:
        self._storage = storage
        self._environment = local_driver(environment, storage.path(ray_token(os.geteuid())))
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def launch(self, spec: LaunchSpec) -> None:
        """Start the driver in a new session on GPUs of its own, with output to the attempt's log.

        Raises NoGpuLeftError, and InfrastructureError where this machine cannot start a process.
        """
        for ended in self._children.values():
            ended.poll()  # Reap drivers whose exit record was enough to close their attempts.
        with own_gpus(spec.fit, self._environment, self._storage.path(OWN_GPUS)) as given:
            environment = with_code(self._environment, spec)
            if given.visible is not None:
                environment[VISIBLE] = given.visible
            try:
                self._start(spec, environment, given.locks)
            except OSError as error:
                words = error.strerror or str(error)
                raise InfrastructureError(f"no driver for {spec.launch_id}: {words}") from None

    def _start(
        self, spec: LaunchSpec, environment: dict[str, str], inherited: Sequence[int]
    ) -> None:
        keys = AttemptKeys(spec.run_id, spec.attempt)
        log = self._storage.path(keys.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        with opened(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as output:
            self._children[keys.folder] = subprocess.Popen(
                [sys.executable, "-m", "ntlbg_service.runner", str(self._storage.path(keys.spec))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                # Python and Ray's workers search the working directory first.
                cwd=spec.code,
                start_new_session=True,
                pass_fds=inherited,
            )

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """Return RUNNING while the claiming process lives or a worker holds a GPU."""
        status = self._of_process(keys)
        if status is LaunchStatus.ENDED and self._held(keys):
            return LaunchStatus.RUNNING
        return status

    def _of_process(self, keys: AttemptKeys) -> LaunchStatus:
        child = self._children.get(keys.folder)
        if child is not None and child.poll() is None:
            return LaunchStatus.RUNNING
        claim = read_claim(self._storage, keys)
        if claim is None:
            return LaunchStatus.ABSENT if child is None else LaunchStatus.ENDED
        alive = driver_of(self._storage, keys) is not None or hidden(claim)
        return LaunchStatus.RUNNING if alive else LaunchStatus.ENDED

    def stop(self, keys: AttemptKeys) -> None:
        """Send SIGTERM, then SIGKILL to the driver and all descendants. Raises DeviceHeldError."""
        driver = self._driver(keys)
        if driver is not None:
            _end(driver)
        child = self._children.pop(keys.folder, None)
        if child is not None:
            child.wait()
        await_memory(lambda: self._held(keys))

    def _held(self, keys: AttemptKeys) -> list[str]:
        return held_here(workers_of(self._storage, keys))

    def _driver(self, keys: AttemptKeys) -> psutil.Process | None:
        child = self._children.get(keys.folder)
        if child is not None and child.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                return psutil.Process(child.pid)
        claim = read_claim(self._storage, keys)
        if claim and hidden(claim):
            raise InfrastructureError(f"process {claim['pid']} {OF_ANOTHER}")
        return driver_of(self._storage, keys)


def _end(driver: psutil.Process) -> None:
    family = [driver]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += driver.children(recursive=True)
    _signal([driver], "terminate")
    psutil.wait_procs([driver], timeout=GRACE_SECONDS)
    _signal(family, "kill")
    psutil.wait_procs(family, timeout=GRACE_SECONDS)


def _signal(processes: list[psutil.Process], name: str) -> None:
    for process in processes:
        try:
            getattr(process, name)()
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            raise InfrastructureError(
                f"process {process.pid} of {process.username()} {OF_ANOTHER}"
            ) from None
