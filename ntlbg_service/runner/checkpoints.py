"""Asynchronous checkpoints: copied to storage while the next step is computed.

The ranks of a node save into one folder on its own disk, and its first rank copies that. Rank 0
waits for the other nodes' parts, and then commits by writing the marker. An attempt that ends
before leaves a folder without a marker, which is no checkpoint.
"""

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ntlbg_service.domain.launch import CheckpointMarker, to_json
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

PART_SECONDS = 1800.0
"""Timeout of rank 0 for the parts of other nodes."""
TICK_SECONDS = 0.2
BLOCK = 16 * 1024**2


@dataclass(frozen=True, kw_only=True)
class WorkerRank:
    """Rank of a worker in its gang and on its node."""

    rank: int = 0
    local_rank: int = 0
    node_rank: int = 0
    nodes: int = 1


class Checkpoints:
    """Copier of one checkpoint at a time.

    A training that waits for it before each optimizer step can lose at most the steps from one
    checkpoint to the next.
    """

    def __init__(self, storage: Storage, keys: AttemptKeys, place: WorkerRank) -> None:
        self._storage = storage
        self._keys = keys
        self._place = place
        self._thread: threading.Thread | None = None
        self._step = 0
        self._error: Exception | None = None
        self.awaited = 0
        """Step of the checkpoint that the training waits for; 0 where it waits for none."""
        self.waited_seconds = 0.0

    def save(self, folder: Path, step: int) -> None:
        """Start to copy this node's checkpoint. Raises the error of the previous copy."""
        self.wait()
        if self._place.local_rank == 0:
            self._step = step
            self._thread = threading.Thread(
                target=self._run, args=(folder, step), name=f"checkpoint {step}", daemon=True
            )
            self._thread.start()

    def wait(self) -> None:
        """Return when the current checkpoint is committed.

        Raises the error of a copy: OSError where storage is full or unavailable.
        """
        if self._thread is not None:
            began, self.awaited = time.monotonic(), self._step
            self._thread.join()
            self._thread, self.awaited = None, 0
            self.waited_seconds += time.monotonic() - began
        if self._error is not None:
            raise self._error

    def _run(self, folder: Path, step: int) -> None:
        try:
            self._copy(folder, step)
        # Any error must reach the training thread: `wait` raises it there.
        except Exception as error:
            self._error = error

    def _copy(self, folder: Path, step: int) -> None:
        key = self._keys.checkpoint(step)
        target = self._storage.path(key)
        try:
            copy_durably(folder, self._storage.folder(key))
        except OSError as error:
            if self._place.rank == 0:
                shutil.rmtree(target, ignore_errors=True)
            said = f"checkpoint of step {step} not written to {target}: {error.strerror or error}"
            raise OSError(error.errno, said) from None
        shutil.rmtree(folder, ignore_errors=True)
        if self._place.rank != 0:
            self._storage.put(self._keys.part(step, self._place.node_rank), {"step": step})
            return
        self._await_parts(step)
        marker = CheckpointMarker(attempt=self._keys.attempt, step=step, path=key)
        self._storage.put(self._keys.marker(step), to_json(marker))

    def _await_parts(self, step: int) -> None:
        deadline = time.monotonic() + PART_SECONDS
        for node in range(1, self._place.nodes):
            while self._storage.get(self._keys.part(step, node)) is None:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"node {node} did not write its part of step {step}")
                time.sleep(TICK_SECONDS)


def copy_durably(source: Path, target: Path) -> None:
    """Copy the files of a folder into an existing one, and sync each to disk.

    A marker must not survive a crash that its checkpoint's files do not.
    """
    for file in sorted(source.rglob("*")):
        copy = target / file.relative_to(source)
        if file.is_dir():
            # Without `parents`: a storage that is moved meanwhile must not be recreated.
            copy.mkdir(exist_ok=True)
        elif file.is_file():
            with file.open("rb") as read, copy.open("wb") as written:
                shutil.copyfileobj(read, written, BLOCK)
                written.flush()
                os.fsync(written.fileno())
