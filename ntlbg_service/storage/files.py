"""Opening the files of storage: regular ones, read within bounds, and nothing that blocks.

A run may leave anything under the names of its objects: a folder, a pipe that nobody writes to, a
file that is closed to its own owner, one that fills the memory of whoever reads it.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ntlbg_service.process.permissions import FILE
from ntlbg_service.storage.errors import CorruptRecordError

MOST_OF_AN_OBJECT = 64 * 1024**2
"""Bytes of a JSON object. The largest, the digests of a data set's files, have some MiB."""
MOST_OF_LINES = 256 * 1024**2
"""Bytes of an object of JSON lines that are read."""
LONGEST_LINE = 4 * 1024**2
IN_THE_WAY = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""Something else stands where a file or its folder should be."""


def read_whole(path: Path) -> bytes:
    """Return the content of a JSON object. Raises CorruptRecordError, OSError."""
    with opened(path) as file:
        data = file.read(MOST_OF_AN_OBJECT + 1)
    if len(data) > MOST_OF_AN_OBJECT:
        raise CorruptRecordError(f"has more than {MOST_OF_AN_OBJECT // 1024**2} MiB")
    return data


def read_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, one that is too long as an empty one. Raises CorruptRecordError,
    also for a file that is too large, before any line, and OSError."""
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
    """Open a regular file, which `flags` may create. Raises CorruptRecordError for anything
    else."""
    # Without O_NONBLOCK a pipe is opened when somebody opens its other end.
    handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, FILE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise CorruptRecordError("is no file")
    return os.fdopen(handle, "rb" if flags == os.O_RDONLY else "ab")


def closed_by_owner(path: Path) -> bool:
    """Whether this user owns what cannot be read, or the folder that it is in, and has taken its
    own right away: no storage does that by itself, and it stays so."""
    for place in (path, *path.parents):
        try:
            found = place.lstat()
        except OSError:
            continue
        needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(found.st_mode) else 0)
        return found.st_uid == os.geteuid() and found.st_mode & needed != needed
    return False
