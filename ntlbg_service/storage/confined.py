"""Conversion of keys to paths, which never leave the storage root."""

import os
import stat
from pathlib import Path

from ntlbg_service.storage.errors import LeavesStorageError as LeavesStorageError

LONGEST_PART = 255
"""Largest number of bytes of a file name on common file systems."""
LONGEST_KEY = 4000


def confined(root: Path, key: str) -> Path:
    """Return the path of a key, which may be an absolute path, below the resolved `root`.

    Raises LeavesStorageError for `..`, links that lead out or form a loop, invalid characters and
    names that are too long; OSError if the file system fails.
    """
    parts = key.split("/")
    if not key or not key.isprintable() or "\\" in key:
        raise _refused(key, "has characters that no key has")
    if ".." in parts:
        raise _refused(key, "leaves the storage")
    if len(key) > LONGEST_KEY or any(len(part.encode()) > LONGEST_PART for part in parts):
        raise _refused(key, "is too long")
    above = f"{root}/" if root.name else str(root)
    whole = key if key.startswith("/") else f"{above}{key}"
    try:
        if whole.startswith(above) and not _has_link(above, whole):
            return Path(whole)
        path = Path(whole).resolve()
    except RuntimeError:
        raise _refused(key, "is no place: its links lead in a circle") from None
    if not path.is_relative_to(root):
        raise _refused(key, "leaves the storage")
    return path


def _has_link(above: str, whole: str) -> bool:
    """Return True if a part of a path below a folder is a symbolic link.

    Resolving the whole path is several times slower, and a controller converts thousands.
    """
    at = len(above) - 1
    while at >= 0:
        at = whole.find("/", at + 1)
        try:
            mode = os.lstat(whole if at < 0 else whole[:at]).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_ISLNK(mode):
            return True
    return False


def _refused(key: str, why: str) -> LeavesStorageError:
    shown = key if len(key) <= 100 else f"{key[:100]}..."
    return LeavesStorageError(f"storage: key {shown!r} {why}")
