"""Digests of files at the time of their last reading, and their record in storage."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.storage.local import CorruptRecordError, Storage

BLOCK = 4 * 1024**2


@dataclass(frozen=True)
class FileDigest:
    """SHA-256 of a file's bytes, with its size and mtime when it was read."""

    size: int
    mtime_ns: int
    sha256: str

    def of(self, stat: os.stat_result) -> bool:
        """Return True if a file still has this size and mtime."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


class FileDigests:
    """Digests of the files of one source, in storage: each node verifies its copies against them.

    Concurrent writes of two nodes may lose some; those files are read again by the next node.
    """

    def __init__(self, storage: Storage, source: Path) -> None:
        self._storage = storage
        self._key = f"staging/{hashlib.sha256(str(source).encode()).hexdigest()[:32]}.json"
        self._source = source
        self._known = self._kept()

    def known(self, name: str, stat: os.stat_result) -> str | None:
        """Return the digest of a file in its present state; None if no node has read that yet."""
        found = self._known.get(name)
        return found.sha256 if found is not None and found.of(stat) else None

    def note(self, read: Mapping[str, FileDigest]) -> None:
        """Add digests to those in storage."""
        if all(self._known.get(name) == print_ for name, print_ in read.items()):
            return
        every = {**self._kept(), **read}
        files = {name: asdict(print_) for name, print_ in every.items()}
        try:
            self._storage.touch(self._key, {"source": str(self._source), "files": files})
        except OSError as error:
            raise InfrastructureError(f"{self._key}: {error.strerror or error}") from None
        self._known.update(read)

    def _kept(self) -> dict[str, FileDigest]:
        """Return the stored digests; files whose entry is damaged are read again."""
        try:
            found = (self._storage.get(self._key) or {}).get("files")
        except CorruptRecordError:
            return {}
        rows = found.items() if isinstance(found, dict) else ()
        read = {name: _print_of(row) for name, row in rows}
        return {name: print_ for name, print_ in read.items() if print_ is not None}


def _print_of(row: Any) -> FileDigest | None:
    if not isinstance(row, dict) or set(row) != {"size", "mtime_ns", "sha256"}:
        return None
    numbers = (row["size"], row["mtime_ns"])
    whole = all(type(number) is int for number in numbers) and isinstance(row["sha256"], str)
    return FileDigest(**row) if whole else None


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as the disk has it, not the page cache."""
    sha = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()
