"""A folder on a node's own disk that all ranks of an attempt there share."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.runner.checkpoints import Place


@contextmanager
def scratch(spec: LaunchSpec, place: Place, root: Path | None = None) -> Iterator[Path]:
    """The attempt's own folder: nothing of an earlier attempt is in it, and what a killed one left
    is removed. The node's first rank takes it away."""
    root = root or Path(tempfile.gettempdir())
    run = hashlib.sha256(f"{spec.storage}:{spec.run_id}".encode()).hexdigest()[:16]
    attempt = f"ntlbg-{run}-{spec.attempt:04d}"
    own = root / f"{attempt}-{place.node_rank:03d}"
    if place.local_rank == 0:
        for left in root.glob(f"ntlbg-{run}-*"):
            if not left.name.startswith(attempt):
                shutil.rmtree(left, ignore_errors=True)
    own.mkdir(parents=True, exist_ok=True)
    try:
        yield own
    finally:
        if place.local_rank == 0:
            shutil.rmtree(own, ignore_errors=True)
