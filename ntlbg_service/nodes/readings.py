"""Latest readings of a cluster's nodes, and the job that renews them.

Ray's dashboard reports a name, a memory and process ids of each GPU; only a task on the node can
read whether it is faulty, partitioned or used by others. That takes seconds, so a controller starts
a reading, continues, and collects the answer when it is there.
"""

import json
import logging
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.environment import cluster_driver
from ntlbg_service.executors.job_client import ENDED, JobClient
from ntlbg_service.nodes.job_output import answer_in, last_words
from ntlbg_service.nodes.node_job import MARK

HERE = Path(__file__).parent
FILES = (HERE / "node_job.py", HERE.parent / "executors/nvml.py", HERE / "gpu_quarantine.py")
"""Files sent to the cluster; the first is run."""
EVERY_SECONDS = 600.0
"""Maximum age of a reading."""
AGAIN_SECONDS = 60.0
"""Minimum time between two readings, even where nodes joined or were invalidated."""
WAIT_SECONDS = 90.0
"""Timeout of a caller that waits for a reading."""
TICK_SECONDS = 0.3
CHATTER = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Loggers of Ray that report each file sent."""


@dataclass
class NodeReadings:
    """Readings of one cluster by Ray's id of the node; a failed one keeps the previous values."""

    client: JobClient
    environment: Mapping[str, str]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    trouble: str = ""
    """Error of the last reading; empty where it succeeded."""
    holds: bool = False
    """True to quarantine GPUs, as a controller does."""
    found: dict[str, Any] = field(default_factory=dict, init=False)
    _job: str | None = field(default=None, init=False)
    _begun: float | None = field(default=None, init=False)
    _wanted: dict[str, list[str]] = field(default_factory=dict, init=False)
    _told: dict[str, list[str]] = field(default_factory=dict, init=False)

    def newest(self, nodes: Collection[str]) -> Mapping[str, Any]:
        """Return the readings of these nodes.

        The first call waits for one; later calls return the latest, and start a new one where that
        is old or lacks a node.
        """
        if self._begun is None:
            return self.read()
        self._look()
        if self.clock() - self._begun > self._patience(nodes):
            self._begin()
        return self.found

    def _patience(self, nodes: Collection[str]) -> float:
        """Return the maximum age of the present readings."""
        if self.unheld:
            return 0.0
        return EVERY_SECONDS if self.found.keys() >= set(nodes) else AGAIN_SECONDS

    @property
    def unheld(self) -> bool:
        """True if the wanted quarantine differs from the one last sent to the cluster."""
        return self.holds and self._wanted != self._told

    def read(self) -> Mapping[str, Any]:
        """Take a new reading and wait for it."""
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

    def keep_off(self, gpus: Mapping[str, Sequence[str]]) -> None:
        """Set the GPUs to quarantine from the next reading on; all others are released.

        They are names by Ray's id of the node.
        """
        self._wanted = {node: sorted(names) for node, names in gpus.items() if names}

    def _begin(self) -> None:
        if self._job is not None:
            return
        self._begun = self.clock()
        for logger in CHATTER:
            logging.getLogger(logger).setLevel(logging.WARNING)
        # Before the first reading, the quarantine of another controller is left as it is.
        told = self._wanted if self.holds and self.found else None
        name = f"ntlbg-nodes-{secrets.token_hex(4)}"
        python = self.environment.get("NTLBG_PYTHON", sys.executable)
        try:
            with tempfile.TemporaryDirectory() as folder:
                for file in FILES:
                    shutil.copyfile(file, Path(folder) / file.name)
                self.client.submit(
                    name,
                    entrypoint=shlex.join([python, FILES[0].name, json.dumps(told)]),
                    runtime_env={
                        "working_dir": folder,
                        "env_vars": cluster_driver(self.environment),
                    },
                )
        except InfrastructureError as error:
            self.trouble = str(error)
        else:
            self._job, self._told = name, dict(self._wanted)

    def _look(self) -> None:
        """Collect the answer of a reading that has ended."""
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
        answer = answer_in(said, MARK)
        if answer is None:
            self.trouble = last_words(said) or "the reading said nothing"
        else:
            # A node that did not answer keeps its previous reading.
            self.found = {**self.found, **answer}
            self.trouble = ""
