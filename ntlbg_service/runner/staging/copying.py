"""Verified copy of one file, made visible atomically."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.runner.staging.file_digests import BLOCK, FileDigest, digest

PART = ".part-"
"""Prefix of the name of a partial copy; a kill leaves it."""
TRIES = 2
"""Number of attempts at a copy; after the last one the node is blamed."""


class CopyError(InfrastructureError):
    """Bytes other than the source's were read or written: this node's disk or network fails."""


def copy_checked(
    source: Path, target: Path, expected: str | None, copied: Callable[[int], None]
) -> FileDigest:
    """Copy a file and read its bytes back from the disk before the copy becomes visible.

    `expected` is the source's digest where another node has read it before. `copied` is called with
    the bytes of each block. Raises CopyError, InfrastructureError where the source changed
    meanwhile, OSError.
    """
    wrong = ""
    for _ in range(TRIES):
        before = source.stat()
        temporary, read = _written(source, target, copied)
        try:
            after = source.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise InfrastructureError(f"{source} changed while it was copied")
            wrong = _wrong(temporary, before.st_size, read, expected)
            if not wrong:
                os.utime(temporary, ns=(before.st_mtime_ns, before.st_mtime_ns))
                temporary.replace(target)
                return FileDigest(before.st_size, before.st_mtime_ns, read)
        finally:
            temporary.unlink(missing_ok=True)
    raise CopyError(f"the copy of {source} in {target.parent} {wrong}, {TRIES} times")


def _written(source: Path, target: Path, copied: Callable[[int], None]) -> tuple[Path, str]:
    """Copy to a temporary name in the target's folder and sync; return it and the digest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    sha = hashlib.sha256()
    copy = target.parent / f"{PART}{secrets.token_hex(8)}"
    with copy.open("xb") as written, source.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            sha.update(block)
            written.write(block)
            copied(len(block))
        written.flush()
        os.fsync(written.fileno())
    return copy, sha.hexdigest()


def _wrong(copy: Path, size: int, read: str, expected: str | None) -> str:
    """Return what is wrong with a copy; empty where nothing is."""
    found = copy.stat().st_size
    if found != size:
        return f"has {found} bytes in place of {size}"
    if expected is not None and read != expected:
        return "was read with other bytes than before"
    if digest(copy) != read:
        return "has other bytes than were written"
    return ""
