"""The copies of one source on a node, and their manifest.

FOLDER/files/...    copies, each put there by a rename
FOLDER/have.json    the manifest; its mtime is when the entry was last used
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ntlbg_service.runner.staging.copying import PART
from ntlbg_service.runner.staging.file_digests import FileDigest, FileDigests, digest


@dataclass(frozen=True)
class Manifest:
    """Verified files of a cache entry."""

    files: dict[str, FileDigest] = field(default_factory=dict)
    checked_at: float = 0.0
    """Unix time by this node's clock, since when each file was read and verified."""


@dataclass(frozen=True)
class CacheEntry:
    """The folder of one source's copies. Changes require the cache's copy lock."""

    folder: Path

    @property
    def files(self) -> Path:
        """Folder of the copies, laid out as the source."""
        return self.folder / "files"

    @property
    def used_at(self) -> float:
        """Unix time of the last use; 0 where a kill left the entry before anything was verified."""
        try:
            return self._have.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @property
    def size(self) -> int:
        """Size on disk in bytes."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def use(self) -> None:
        """Record that the entry is used now."""
        os.utime(self._have)

    def have(self) -> Manifest:
        """Return the manifest; an empty one where it is missing or damaged."""
        try:
            found = json.loads(self._have.read_bytes())
            files = {name: FileDigest(**row) for name, row in found["files"].items()}
            return Manifest(files, found["checked_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return Manifest()

    def write(self, have: Manifest) -> None:
        """Write the manifest atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self._have.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump(asdict(have), file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._have)

    def untouched(self, name: str, stat: os.stat_result, have: Manifest) -> bool:
        """Return True if neither a copy nor the source's file has changed since verification."""
        checked = have.files.get(name)
        if checked is None or not checked.of(stat):
            return False
        try:
            return checked.of((self.files / name).stat())
        except FileNotFoundError:
            return False

    def checked(
        self, name: str, stat: os.stat_result, have: Manifest, prints: FileDigests
    ) -> FileDigest | None:
        """Read a copy; return its digest if it equals the source, None if it must be copied."""
        known = prints.known(name, stat)
        ours = have.files.get(name)
        if known is None and ours is not None and ours.of(stat):
            known = ours.sha256
        copy = self.files / name
        try:
            if known is None or copy.stat().st_size != stat.st_size or digest(copy) != known:
                return None
            os.utime(copy, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
        except OSError:
            return None
        return FileDigest(stat.st_size, stat.st_mtime_ns, known)

    def sweep(self) -> None:
        """Remove partial copies that a kill left."""
        for left in self.files.rglob(f"{PART}*"):
            left.unlink()

    @property
    def _have(self) -> Path:
        return self.folder / "have.json"
