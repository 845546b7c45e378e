"""Cache on a node's own disk, which keeps copies for later runs.

    ROOT/items/KEY      the copies of one source
    ROOT/locks/KEY.use  shared by every run that reads the entry, exclusive to evict it
    ROOT/locks/copy     one run copies at a time, so that free space is counted correctly

Locks are the kernel's: they end with the process, however that ends.
"""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ntlbg_service.process.permissions import FILE, umask_of
from ntlbg_service.runner.staging.cache_entry import CacheEntry
from ntlbg_service.runner.staging.fetch import Bringing, Tally, Tell, recent
from ntlbg_service.runner.staging.file_digests import FileDigests
from ntlbg_service.runner.staging.sources import Source
from ntlbg_service.storage.local import delete_atomically

SPARE_SHARE = 0.1
"""Share of the disk that copies leave free."""


class NoRoomError(Exception):
    """The cache cannot hold this source: it is read in place."""


class StagingCache:
    """Cache entries under one root, of at most `limit` bytes."""

    def __init__(
        self,
        root: Path,
        limit: int | None = None,
        clock: Callable[[], float] = time.time,
        spare: float = SPARE_SHARE,
    ) -> None:
        self._root = root
        self._items = root / "items"
        self._locks = root / "locks"
        self._limit = limit
        self._clock = clock
        self._spare = spare

    @contextmanager
    def shelved(
        self, source: Source, prints: FileDigests, tell: Tell, tally: Tally
    ) -> Iterator[Path]:
        """Yield the folder of the source's verified copy, which is not evicted within the block.

        Raises NoRoomError, CopyError, InfrastructureError and OSError.
        """
        # Copies are trusted by size and mtime, so only the user may write here, or the group of a
        # folder that was made for one.
        self._root.mkdir(mode=0o777 & ~umask_of(self._root), parents=True, exist_ok=True)
        self._locks.mkdir(exist_ok=True)
        self._items.mkdir(exist_ok=True)
        item = self.item(source)
        with self._lock(f"{item.folder.name}.use", fcntl.LOCK_SH):
            if not self._whole(item, source):
                tell(f"{source.name}: waits for another run that copies")
                with self._lock("copy", fcntl.LOCK_EX):
                    self._bring(Bringing(item, source, prints, tell, tally, self._clock()))
            item.use()
            yield item.files

    def item(self, source: Source) -> CacheEntry:
        """Return a source's entry, named by the last part of its path and a digest of the whole."""
        digest = hashlib.sha256(str(source.folder).encode()).hexdigest()[:16]
        return CacheEntry(self._items / f"{source.folder.name[:40]}-{digest}")

    def _whole(self, item: CacheEntry, source: Source) -> bool:
        """Return True if every file is unchanged since a recent verification."""
        have = item.have()
        return recent(have, self._clock()) and all(
            item.untouched(name, stat, have) for name, stat in source.files()
        )

    def _bring(self, work: Bringing) -> None:
        missing = work.look()
        self._make_room(work.item, sum(stat.st_size for _, stat in missing))
        work.copy(missing)

    def _make_room(self, own: CacheEntry, wanted: int) -> None:
        """Evict the least recently used entries until there is room. Raises NoRoomError."""
        items = sorted(map(CacheEntry, self._items.iterdir()), key=lambda item: item.used_at)
        sizes = {item: item.size for item in items}
        others = sum(size for item, size in sizes.items() if item != own)
        if self._room(sum(sizes.values())) + others < wanted:
            raise NoRoomError  # Evict nothing where that would not suffice.
        for item in items:
            if self._room(sum(sizes.values())) >= wanted:
                return
            if item != own and self._removed(item):
                del sizes[item]
        if self._room(sum(sizes.values())) < wanted:
            raise NoRoomError

    def _room(self, held: int) -> float:
        disk = shutil.disk_usage(self._items)
        free = disk.free - self._spare * disk.total
        return free if self._limit is None else min(free, self._limit - held)

    def _removed(self, item: CacheEntry) -> bool:
        """Evict an entry that no run reads; return False where one does."""
        at_once = fcntl.LOCK_EX | fcntl.LOCK_NB
        with suppress(BlockingIOError), self._lock(f"{item.folder.name}.use", at_once):
            delete_atomically(item.folder)
            return True
        return False

    @contextmanager
    def _lock(self, name: str, how: int) -> Iterator[None]:
        handle = os.open(self._locks / name, os.O_RDWR | os.O_CREAT, FILE)
        try:
            fcntl.flock(handle, how)
            yield
        finally:
            os.close(handle)
