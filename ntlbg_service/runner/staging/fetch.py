"""Transfer of one source to one cache entry: existing files are verified, missing ones copied."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from ntlbg_service.runner.staging.cache_entry import CacheEntry, Manifest
from ntlbg_service.runner.staging.copying import copy_checked
from ntlbg_service.runner.staging.file_digests import FileDigest, FileDigests
from ntlbg_service.runner.staging.sources import Source

GIB = 1024**3
CHECK_AGAIN_SECONDS = 24 * 3600.0
"""Age of the verification from which all bytes of an entry are read and verified again."""
SAVE_BYTES = 1 * GIB
SAVE_FILES = 100
"""Files, or bytes, after which the manifest is saved, so that a kill costs no more."""

Tell = Callable[[str], None]
Files = list[tuple[str, os.stat_result]]


@dataclass
class Tally:
    """Totals of one staging."""

    copied_bytes: int = 0
    copied_files: int = 0


@dataclass
class Bringing:
    """Transfer of a source to its entry. The caller holds the cache's copy lock."""

    item: CacheEntry
    source: Source
    prints: FileDigests
    tell: Tell
    tally: Tally
    now: float
    """Unix time by this node's clock."""
    _checked: dict[str, FileDigest] = field(default_factory=dict, init=False)
    _since: float = field(default=0.0, init=False)

    def look(self) -> Files:
        """Verify what is there; return the files that are missing or differ from the source."""
        self.item.sweep()
        have = self.item.have()
        fresh = recent(have, self.now)
        self._since = have.checked_at if fresh else self.now
        self._checked = dict(have.files) if fresh else {}
        self.tell(f"{self.source.name}: checks what is there")
        missing: Files = []
        for name, stat in self.source.files():
            if fresh and self.item.untouched(name, stat, have):
                continue
            found = self.item.checked(name, stat, have, self.prints)
            if found is None:
                missing.append((name, stat))
            else:
                self._checked[name] = found
        return missing

    def copy(self, missing: Files) -> None:
        """Copy missing files, save the manifest. Raises CopyError, InfrastructureError, OSError."""
        whole = sum(stat.st_size for _, stat in missing)
        done, unsaved, files = 0, 0, 0

        def copied(size: int) -> None:
            nonlocal done
            done += size
            self.tell(f"{self.source.name}: {done / GIB:.1f} of {whole / GIB:.1f} GiB")

        for name, stat in missing:
            self._checked.pop(name, None)
            known = self.prints.known(name, stat)
            source, target = self.source.folder / name, self.item.files / name
            self._checked[name] = copy_checked(source, target, known, copied)
            self.tally.copied_bytes += stat.st_size
            self.tally.copied_files += 1
            unsaved, files = unsaved + stat.st_size, files + 1
            if unsaved >= SAVE_BYTES or files >= SAVE_FILES:
                self._write_down()
                unsaved, files = 0, 0
        self._write_down()

    def _write_down(self) -> None:
        self.item.write(Manifest(self._checked, self._since))
        names = [name for name in self.source.names if name in self._checked]
        self.prints.note({name: self._checked[name] for name in names})


def recent(have: Manifest, now: float) -> bool:
    """Return True if an entry's bytes were verified recently enough."""
    return now - have.checked_at <= CHECK_AGAIN_SECONDS
