"""What the nodes of a cluster said of themselves last, and having them asked again.

Ray's dashboard tells a name, a memory and process ids of each GPU; whether one is sick, sliced or
used by others only a task on the node can read. It takes seconds, so whoever steers a cluster
begins a reading, goes on, and takes it when it is there.
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
FILES = (HERE / "node_job.py", HERE.parent / "nvml.py", HERE / "node_holding.py")
"""What a cluster is sent; the first is run."""
EVERY_SECONDS = 600.0
"""How old a reading may become."""
AGAIN_SECONDS = 60.0
"""Least time between two readings, whatever came or was in doubt meanwhile."""
WAIT_SECONDS = 90.0
"""How long somebody who wants one waits for it."""
TICK_SECONDS = 0.3
CHATTER = ("ray.dashboard.modules.dashboard_sdk", "ray._private.runtime_env.packaging")
"""Ray's loggers that tell of each file sent."""


@dataclass
class NodeReadings:
    """Readings of one cluster by Ray's id of the node. What cannot be had leaves those before."""

    client: JobClient
    environment: Mapping[str, str]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    trouble: str = ""
    """Why the last reading failed; empty where it did not."""
    holds: bool = False
    """GPUs that nobody should be given are kept from runs: what steers a cluster does that."""
    found: dict[str, Any] = field(default_factory=dict, init=False)
    _job: str | None = field(default=None, init=False)
    _begun: float | None = field(default=None, init=False)
    _wanted: dict[str, list[str]] = field(default_factory=dict, init=False)
    _told: dict[str, list[str]] = field(default_factory=dict, init=False)

    def newest(self, nodes: Collection[str]) -> Mapping[str, Any]:
        """What is known of these nodes: the first time waited for, later as it is, and a reading is
        begun where that is old or does not know one of them."""
        if self._begun is None:
            return self.read()
        self._look()
        if self.clock() - self._begun > self._patience(nodes):
            self._begin()
        return self.found

    def _patience(self, nodes: Collection[str]) -> float:
        """How old what is known may be."""
        if self.unheld:
            return 0.0
        return EVERY_SECONDS if self.found.keys() >= set(nodes) else AGAIN_SECONDS

    @property
    def unheld(self) -> bool:
        """Whether the cluster was not told yet what to keep from runs, or what to let go."""
        return self.holds and self._wanted != self._told

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

    def keep_off(self, gpus: Mapping[str, Sequence[str]]) -> None:
        """These are to be kept from runs from the next reading on, all others are not: names by
        Ray's id of the node."""
        self._wanted = {node: sorted(names) for node, names in gpus.items() if names}

    def _begin(self) -> None:
        if self._job is not None:
            return
        self._begun = self.clock()
        for logger in CHATTER:
            logging.getLogger(logger).setLevel(logging.WARNING)
        # Before anything is known, what another controller has held stays so.
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
        answer = answer_in(said, MARK)
        if answer is None:
            self.trouble = last_words(said) or "the reading said nothing"
        else:
            # A node that did not answer this time is what it said last.
            self.found = {**self.found, **answer}
            self.trouble = ""
