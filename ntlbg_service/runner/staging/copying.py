"""One file copied, checked, and seen whole or not at all."""

import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.runner.staging.file_digests import BLOCK, FileDigest, digest

PART = ".part-"
"""Beginning of the name of a copy that is not whole; a kill leaves it."""
TRIES = 2
"""A copy that is not what it should be is made once more before its node is blamed."""


class CopyError(InfrastructureError):
    """What this node read or wrote are not the bytes of the source: its disk or network fails."""


def copy_checked(
    source: Path, target: Path, expected: str | None, copied: Callable[[int], None]
) -> FileDigest:
    """Copy a file; its bytes are read back from the disk before the copy is seen.

    `expected` is the source's digest where another has read it before. `copied` is told of bytes
    as they go. Raises CopyError, InfrastructureError where the source changed meanwhile, OSError.
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
    """A copy under another name beside the target, synced to disk; the digest of what was read."""
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
    """What is wrong with a copy; empty where nothing is."""
    found = copy.stat().st_size
    if found != size:
        return f"has {found} bytes in place of {size}"
    if expected is not None and read != expected:
        return "was read with other bytes than before"
    if digest(copy) != read:
        return "has other bytes than were written"
    return ""
