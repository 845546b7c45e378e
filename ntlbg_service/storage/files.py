"""Bounded, non-blocking reads of regular files in storage.

A run may leave anything under its objects' names: a folder, a pipe without a writer, a file that
its owner cannot read, or one larger than the reader's memory.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ntlbg_service.process.permissions import FILE
from ntlbg_service.storage.errors import CorruptRecordError

MOST_OF_AN_OBJECT = 64 * 1024**2
"""Size limit of a JSON object in bytes; the largest, digests of data sets, have some MiB."""
MOST_OF_LINES = 256 * 1024**2
"""Size limit of a JSON lines object in bytes."""
LONGEST_LINE = 4 * 1024**2
IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""Errors if something else is in place of a file or its folder."""


def read_whole(path: Path) -> bytes:
    """Return the content of a JSON object. Raises CorruptRecordError, OSError."""
    with opened(path) as file:
        data = file.read(MOST_OF_AN_OBJECT + 1)
    if len(data) > MOST_OF_AN_OBJECT:
        raise CorruptRecordError(f"has more than {MOST_OF_AN_OBJECT // 1024**2} MiB")
    return data


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; a line that is too long is yielded as an empty one.

    Raises OSError and CorruptRecordError, the latter also, before any line, if the file is too
    large.
    """
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > MOST_OF_LINES:
            raise CorruptRecordError(f"has more than {MOST_OF_LINES // 1024**2} MiB")
        while line := file.readline(LONGEST_LINE):
            whole = line
            while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                line = file.readline(LONGEST_LINE)
                whole = b"\n" if line.endswith(b"\n") else b""
            yield whole


def opened(path: Path, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file, which `flags` may create; else raise CorruptRecordError."""
    # Without O_NONBLOCK, opening a pipe blocks until its other end is opened.
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, FILE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CorruptRecordError("is no file")
    return os.fdopen(handle, "rb" if flags == os.O_RDONLY else "ab")


def closed_by_owner(path: Path) -> bool:
    """Return True if the owner, this user, has removed its own read permission.

    Folders above count too. Storage never does that by itself, so the error is permanent.
    """
    for place in (path, *path.parents):
        try:
            found = place.lstat()
        except OSError:
            continue
        needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(found.st_mode) else 0)
        return found.st_uid == os.geteuid() and found.st_mode & needed != needed
    return False
