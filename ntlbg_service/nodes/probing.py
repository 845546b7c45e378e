"""Readings of this machine and, through a Ray Job, of every node of a cluster."""

import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ntlbg_service.domain.diagnosis.machines import MachineReading
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.executors.job_client import ENDED, ClusterAwayError, JobClient
from ntlbg_service.nodes import probe
from ntlbg_service.nodes.job_output import answer_in, last_words
from ntlbg_service.storage.local import delete_atomically

JOB_SECONDS = 150.0
"""Timeout of the job: its driver starts, then every node runs a task."""
TICK_SECONDS = 0.5


@contextmanager
def left_in(storage: Path) -> Iterator[str]:
    """Keep a token in the storage within the block, for every node to read.

    Raises InfrastructureError.
    """
    token = secrets.token_hex(8)
    folder = storage / f".doctor-{token}"
    made = [path for path in (storage, storage.parent) if not path.exists()]
    try:
        folder.mkdir(parents=True)
        (folder / "token").write_text(token)
    except OSError as error:
        raise InfrastructureError(f"{storage}: {error.strerror or error}") from None
    try:
        yield token
    finally:
        delete_atomically(folder)
        with suppress(OSError):  # Another process may use the folders by now.
            for path in made:
                path.rmdir()


def read_here(storage: Path | None, token: str, home: Path) -> MachineReading:
    """Read this machine; without a storage none is tried."""
    found = probe.reading(str(storage) if storage else None, token)
    if home.is_dir():
        found["free_gib"][str(home.resolve())] = shutil.disk_usage(home).free / probe.GIB
    return MachineReading(name=f"{socket.gethostname()} (here)", **found)


def read_cluster(
    client: JobClient,
    names: Mapping[str, str],
    storage: Path,
    token: str,
    python: str = sys.executable,
    clock: Callable[[], float] = time.time,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[MachineReading, ...]:
    """Read every live node. `names` are the nodes' names by Ray's ids.

    Raises InfrastructureError where the job cannot run at all.
    """
    job = f"ntlbg-doctor-{token}"
    script = Path(probe.__file__).read_text()
    command = [python, "-c", script, str(storage.resolve()), token]
    began = clock()
    client.submit(job, entrypoint=shlex.join(command), runtime_env={})
    try:
        said = _said(client, job, pause)
    finally:
        client.forget(job)
    # The head's clock is off where its time lies outside the interval measured here.
    off = min(0.0, said["time"] - began) + max(0.0, said["time"] - clock())
    return tuple(_reading(names.get(node, node), row, off) for node, row in said["nodes"].items())


def _reading(name: str, row: dict[str, Any], head_off: float) -> MachineReading:
    return MachineReading(name=name, **{**row, "clock_off": row.get("clock_off", 0.0) + head_off})


def _said(client: JobClient, job: str, pause: Callable[[float], None]) -> dict[str, Any]:
    for _ in range(int(JOB_SECONDS / TICK_SECONDS)):
        found = client.find(job)
        if found is None or found.status in ENDED:
            return _parsed(client, job)
        pause(TICK_SECONDS)
    client.stop(job)
    raise ClusterAwayError(f"Ray at {client.address}: job {job} did not end: {client.logs(job)}")


def _parsed(client: JobClient, job: str) -> dict[str, Any]:
    output = client.logs(job)
    answer: dict[str, Any] | None = answer_in(output, probe.MARK)
    if answer is None:
        raise InfrastructureError(f"job {job} on the head: {last_words(output) or 'no output'}")
    return answer
