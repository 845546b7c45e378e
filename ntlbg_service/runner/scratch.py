"""A folder on a node's own disk that all ranks of an attempt there share."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.runner.checkpoints import WorkerRank
from ntlbg_service.storage.layout import AttemptKeys


def folder_of(storage: str, keys: AttemptKeys, place: WorkerRank, root: Path | None = None) -> Path:
    """Where the ranks of a node save: `ntlbg-RUN-ATTEMPT-NODE` on the node's disk for temporary
    files, with the run's id as a digest of it and its storage."""
    run = hashlib.sha256(f"{storage}:{keys.run_id}".encode()).hexdigest()[:16]
    name = f"ntlbg-{run}-{keys.attempt:04d}-{place.node_rank:03d}"
    return (root or Path(tempfile.gettempdir())) / name


@contextmanager
def scratch(spec: LaunchSpec, place: WorkerRank, root: Path | None = None) -> Iterator[Path]:
    """The attempt's own folder: nothing of an earlier attempt is in it, and what a killed one left
    is removed. The node's first rank takes it away."""
    keys = AttemptKeys(spec.run_id, spec.attempt)
    own = folder_of(spec.storage, keys, place, root)
    if place.local_rank == 0:
        attempt = own.name.rpartition("-")[0]
        for left in own.parent.glob(f"{attempt.rpartition('-')[0]}-*"):
            if not left.name.startswith(attempt):
                shutil.rmtree(left, ignore_errors=True)
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield own
    finally:
        if place.local_rank == 0:
            shutil.rmtree(own, ignore_errors=True)
