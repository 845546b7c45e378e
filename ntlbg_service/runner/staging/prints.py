"""What a file was when its bytes were last read, and where that is kept."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.storage.local import Storage

BLOCK = 4 * 1024**2


@dataclass(frozen=True)
class Print:
    """A file's bytes, named by their digest, with the size and time that they were read at."""

    size: int
    mtime_ns: int
    sha256: str

    def of(self, stat: os.stat_result) -> bool:
        """Whether a file still looks as it did."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)


class Prints:
    """Prints of the files below one source, in storage: each node's copy is held against them.

    What two nodes write at once may lose some; those files are read once more by the next.
    """

    def __init__(self, storage: Storage, source: Path) -> None:
        self._storage = storage
        self._key = f"staging/{hashlib.sha256(str(source).encode()).hexdigest()[:32]}.json"
        self._source = source
        found = (storage.get(self._key) or {}).get("files", {})
        self._known = {name: Print(**row) for name, row in found.items()}

    def known(self, name: str, stat: os.stat_result) -> str | None:
        """Digest of a file of the source as it is now; None where nobody has read that yet."""
        found = self._known.get(name)
        return found.sha256 if found is not None and found.of(stat) else None

    def note(self, read: Mapping[str, Print]) -> None:
        """Keep what was read, beside what is there."""
        if all(self._known.get(name) == print_ for name, print_ in read.items()):
            return
        found = (self._storage.get(self._key) or {}).get("files", {})
        fresh = {name: asdict(print_) for name, print_ in read.items()}
        try:
            self._storage.touch(
                self._key, {"source": str(self._source), "files": {**found, **fresh}}
            )
        except OSError as error:
            raise InfrastructureError(f"{self._key}: {error.strerror or error}") from None
        self._known.update(read)


def digest(path: Path) -> str:
    """SHA-256 of a file as the disk has it, not as memory may still."""
    sha = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()
