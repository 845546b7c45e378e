"""What the nodes of a cluster said of themselves last, and having them asked again.

Ray's dashboard tells a name, a memory and process ids of each GPU; whether one is sick, sliced or
used by others only a task on the node can read. It takes seconds, so whoever steers a cluster
begins a reading, goes on, and takes it when it is there.
"""

import json
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ntlbg_service import node_job, nvml
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.environment import cluster_driver
from ntlbg_service.executors.job_client import ENDED, JobClient

EVERY_SECONDS = 600.0
"""How old a reading may become."""
AGAIN_SECONDS = 60.0
"""Least time between two readings, whatever came or was in doubt meanwhile."""
WAIT_SECONDS = 90.0
"""How long somebody who wants one waits for it."""
TICK_SECONDS = 0.3


@dataclass
class NodeReadings:
    """Readings of one cluster by Ray's id of the node. What cannot be had leaves those before."""

    client: JobClient
    environment: Mapping[str, str]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    trouble: str = ""
    """Why the last reading failed; empty where it did not."""
    found: dict[str, Any] = field(default_factory=dict, init=False)
    _job: str | None = field(default=None, init=False)
    _begun: float | None = field(default=None, init=False)

    def newest(self, nodes: Collection[str]) -> Mapping[str, Any]:
        """What is known of these nodes: the first time waited for, later as it is, and a reading is
        begun where that is old or does not know one of them."""
        if self._begun is None:
            return self.read()
        self._look()
        unknown = not self.found.keys() >= set(nodes)
        if self.clock() - self._begun > (AGAIN_SECONDS if unknown else EVERY_SECONDS):
            self._begin()
        return self.found

    def read(self) -> Mapping[str, Any]:
        """A new reading, waited for."""
        if self._job is None:
            self._begin()
        waited_from = self.clock()
        while self._job is not None and self.clock() - waited_from < WAIT_SECONDS:
            self._look()
            if self._job is not None:
                self.pause(TICK_SECONDS)
        if self._job is not None:
            self.trouble = f"no answer of all nodes within {WAIT_SECONDS:g} s"
        return self.found

    def _begin(self) -> None:
        if self._job is not None:
            return
        self._begun = self.clock()
        name = f"ntlbg-nodes-{secrets.token_hex(4)}"
        python = self.environment.get("NTLBG_PYTHON", sys.executable)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for module in (node_job, nvml):
                    source = Path(str(module.__file__))
                    shutil.copyfile(source, Path(folder) / source.name)
                self.client.submit(
                    name,
                    entrypoint=shlex.join([python, Path(str(node_job.__file__)).name]),
                    runtime_env={
                        "working_dir": folder,
                        "env_vars": cluster_driver(self.environment),
                    },
                )
        except InfrastructureError as error:
            self.trouble = str(error)
        else:
            self._job = name

    def _look(self) -> None:
        """Take the answer of a reading that has ended."""
        if self._job is None:
            return
        try:
            job = self.client.find(self._job)
            if job is not None and job.status not in ENDED:
                return
            said = self.client.logs(self._job) if job is not None else ""
            self.client.forget(self._job)
        except InfrastructureError as error:
            self.trouble = str(error)
            return
        self._job = None
        self._take(said)

    def _take(self, said: str) -> None:
        lines = said.splitlines()
        marked = [line for line in lines if line.startswith(node_job.MARK)]
        if marked:
            self.found = json.loads(marked[-1].removeprefix(node_job.MARK))
            self.trouble = ""
        else:
            self.trouble = lines[-1].strip()[:200] if lines else "the reading said nothing"
