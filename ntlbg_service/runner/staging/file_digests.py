"""What a file was when its bytes were last read, and where that is kept."""

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
    """A file's bytes, named by their digest, with the size and time that they were read at."""

    size: int
    mtime_ns: int
    sha256: str

    def of(self, stat: os.stat_result) -> bool:
        """Whether a file still looks as it did."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


class FileDigests:
    """Prints of the files below one source, in storage: each node's copy is held against them.

    What two nodes write at once may lose some; those files are read once more by the next.
    """

    def __init__(self, storage: Storage, source: Path) -> None:
        self._storage = storage
        self._key = f"staging/{hashlib.sha256(str(source).encode()).hexdigest()[:32]}.json"
        self._source = source
        self._known = self._kept()

    def known(self, name: str, stat: os.stat_result) -> str | None:
        """Digest of a file of the source as it is now; None where nobody has read that yet."""
        found = self._known.get(name)
        return found.sha256 if found is not None and found.of(stat) else None

    def note(self, read: Mapping[str, FileDigest]) -> None:
        """Keep what was read, beside what is there."""
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
        """What storage has; files whose entry is damaged are read once more by the next."""
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
    """SHA-256 of a file as the disk has it, not as memory may still."""
    sha = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()
