"""Scratch folder on a node's own disk, shared by all ranks of an attempt there."""

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
    """Return the folder `ntlbg-RUN-ATTEMPT-NODE` on the node's disk for temporary files.

    RUN is a digest of the run's id and its storage.
    """
    run = hashlib.sha256(f"{storage}:{keys.run_id}".encode()).hexdigest()[:16]
    name = f"ntlbg-{run}-{keys.attempt:04d}-{place.node_rank:03d}"
    return (root or Path(tempfile.gettempdir())) / name


@contextmanager
def scratch(spec: LaunchSpec, place: WorkerRank, root: Path | None = None) -> Iterator[Path]:
    """Create the attempt's folder for the block; the node's first rank deletes it afterwards.

    Folders that killed earlier attempts of the run left are deleted first.
    """
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
