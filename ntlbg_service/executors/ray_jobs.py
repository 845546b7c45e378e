"""Executor for a shared cluster: one Ray Job per launch."""

import hashlib
import shlex
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.devices import await_memory, held_on_nodes, workers_of
from ntlbg_service.executors.environment import cluster_driver, with_code
from ntlbg_service.executors.job_client import ENDED, JobClient
from ntlbg_service.process.permissions import umask_of
from ntlbg_service.storage.claims import read_claim
from ntlbg_service.storage.homes import home_id, is_elsewhere
from ntlbg_service.storage.layout import HOME, AttemptKeys
from ntlbg_service.storage.local import Storage

NODES = "/nodes?view=summary"
"""Endpoint with the last NVML report of every node."""
SILENT_SECONDS = 60.0
"""Age of the last heartbeat from which an attempt that no cluster knows counts as ended."""


class RayJobsExecutor:
    """Executor whose jobs outlive the controller and are found again by their ids.

    The driver runs on the cluster's head, so that the loss of a node ends only the workers on it.
    """

    name = "ray_jobs"

    def __init__(
        self, storage: Storage, environment: Mapping[str, str], client: JobClient | None = None
    ) -> None:
        self._storage = storage
        self._environment = environment
        self._places: dict[str, str] = {}
        self._client = client or JobClient(environment["RAY_ADDRESS"])

    def launch(self, spec: LaunchSpec) -> None:
        """Submit the job; an existing one is left alone. Raises ClusterAwayError."""
        keys = AttemptKeys(spec.run_id, spec.attempt)
        self._client.submit(self._id(keys, spec.storage), **self._job(spec, keys))

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """Return Ray's status, and RUNNING while a worker holds a GPU. Raises ClusterAwayError.

        Where Ray has forgotten the job, the age of the heartbeat decides.
        """
        _, job = self._find(keys)
        if job is not None:
            ended = job.status in ENDED and not self._held(keys)
            return LaunchStatus.ENDED if ended else LaunchStatus.RUNNING
        if read_claim(self._storage, keys) is None:
            return LaunchStatus.ABSENT
        age = self._storage.age(keys.heartbeat) or self._storage.age(keys.process)
        alive = age is not None and age < SILENT_SECONDS
        return LaunchStatus.RUNNING if alive else LaunchStatus.ENDED

    def stop(self, keys: AttemptKeys) -> None:
        """Stop the job; return when its workers are gone and hold no GPU.

        Raises ClusterAwayError and DeviceHeldError.
        """
        name, job = self._find(keys)
        if job is not None:
            self._client.stop(name)
            await_memory(lambda: self._held(keys))

    def _held(self, keys: AttemptKeys) -> list[str]:
        workers = workers_of(self._storage, keys)
        return held_on_nodes(self._client.get(NODES), workers) if workers else []

    def submission_id(self, keys: AttemptKeys) -> str:
        """Return the job's id: the launch's id with a digest of the storage that it came from.

        A cluster serves many homes, and the same suite has the same runs in each, also in one that
        was deleted and created again, or copied. The id survives a move of the home, since the spec
        records the original path.
        """
        return self._id(keys, self._place(keys))

    def _id(self, keys: AttemptKeys, place: str) -> str:
        digest = hashlib.sha256(f"{self._home}:{place}".encode()).hexdigest()[:8]
        return f"{keys.run_id}-{keys.attempt:04d}-{digest}"

    def _place(self, keys: AttemptKeys) -> str:
        """Return the path of the storage at the time of the launch, as the spec records it."""
        if keys.folder not in self._places:
            spec = self._storage.get(keys.spec) or {}
            if "storage" not in spec:
                return str(self._storage.path(HOME).parent)
            self._places[keys.folder] = str(spec["storage"])
        return self._places[keys.folder]

    def _find(self, keys: AttemptKeys) -> tuple[str, Any]:
        """Return the id and Ray's details of an attempt's job.

        The details are None for an unknown job, or for one of the home that this one was copied
        from.
        """
        name = self.submission_id(keys)
        if is_elsewhere(self._place(keys), self._storage):
            return name, None
        # Jobs submitted by earlier versions have no digest of the storage's path in their id.
        older = f"{keys.run_id}-{keys.attempt:04d}-{self._home}"
        for each in (name, older):
            job = self._client.find(each)
            if job is not None:
                return each, job
        return name, None

    @cached_property
    def _home(self) -> str:
        return home_id(self._storage)

    def _job(self, spec: LaunchSpec, keys: AttemptKeys) -> dict[str, Any]:
        python = self._environment.get("NTLBG_PYTHON", sys.executable)
        driver = shlex.join(
            [python, "-m", "ntlbg_service.runner", str(self._storage.path(keys.spec))]
        )
        log = shlex.quote(str(self._storage.path(keys.log)))
        # Python and Ray's workers search the working directory first.
        there = f"umask {umask_of(Path(spec.storage)):03o} && "
        there += f"cd {shlex.quote(spec.code)} && " if spec.code else ""
        environment = with_code(cluster_driver(self._environment), spec)
        return {
            # The log is in storage from the first byte, so it outlives the cluster's head.
            "entrypoint": f"echo output: {log}; {there}exec {driver} >> {log} 2>&1",
            "runtime_env": {"env_vars": environment},
            "metadata": {
                "launch": spec.launch_id,
                "run": spec.run_id,
                "attempt": str(spec.attempt),
                "storage": spec.storage,
            },
        }
