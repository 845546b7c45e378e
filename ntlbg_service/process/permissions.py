"""Modes of files created in a home: set by `domain/permissions`, applied as the process's umask.

Libraries write into a home too (safetensors, MLflow, SQLite, Ray), so the umask decides the mode
and our own writers set none. A folder's default ACL takes precedence over the umask.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntlbg_service.domain.permissions import NOBODY_ELSE, WORLD, Account, Entry, denial, umask_below

FILE = 0o660
"""Mode of a new file before the umask: no access for others, whatever the umask."""
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Error numbers that mean missing permission, not a missing file."""
NOT_THERE = (FileNotFoundError, NotADirectoryError)


def umask_of(folder: Path) -> int:
    """Return the umask for new files in a folder, or in its nearest existing parent."""
    for each in (folder.absolute(), *folder.absolute().parents):
        try:
            return umask_below(each.stat().st_mode)
        except NOT_THERE:
            continue
        except OSError:
            break
    return NOBODY_ELSE


def follow(folder: Path) -> None:
    """Set the umask of a folder until this process ends."""
    os.umask(umask_of(folder))


@contextmanager
def following(folder: Path) -> Iterator[int]:
    """Set the umask of a folder within the block, and yield the previous umask."""
    before = os.umask(umask_of(folder))
    try:
        yield before
    finally:
        os.umask(before)


def make_file(path: Path) -> None:
    """Create an empty file for a library that would set its own mode; mend an existing one."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE & ~umask_of(path.parent)))
    except FileExistsError:
        mend(path)


def mend(path: Path) -> None:
    """Give a file of this account the rights that its folder grants, and others none.

    Additional group rights stay: they may come from an ACL.
    """
    there = path.stat()
    mode = stat.S_IMODE(there.st_mode)
    wanted = (mode | FILE & ~umask_of(path.parent)) & ~WORLD
    if there.st_uid == os.geteuid() and mode != wanted:
        path.chmod(wanted)


def writable(path: Path) -> bool:
    """Return True if this process may write a file, or create and remove files in a folder."""
    needed = os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed, effective_ids=True)


def refused(path: Path, *, write: bool) -> str | None:
    """Return what denies this process a path and the remedy; None if nothing does."""
    whole = path.absolute()
    for folder in reversed(whole.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return None if not _there(folder) else _denied(folder, write=False)
    if not _there(whole):
        return refused(whole.parent, write=True) if write else None
    needed = (os.W_OK if write else os.R_OK) | (os.X_OK if whole.is_dir() else 0)
    if os.access(whole, needed, effective_ids=True):
        return None
    return _denied(whole, write=write)


def explained(error: OSError) -> str:
    """Return the system's message, with the remedy if permission is missing."""
    said = error.strerror or str(error)
    if error.errno not in REFUSED or not isinstance(error.filename, str | bytes):
        return said
    path = Path(os.fsdecode(error.filename))
    why = refused(path, write=False) or refused(path, write=True)
    return f"{said}: {why}" if why else said


def _there(path: Path) -> bool:
    try:
        path.lstat()
    except NOT_THERE:
        return False
    except OSError:
        return True
    return True


def _denied(path: Path, *, write: bool) -> str:
    found = path.stat()
    if write and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} is on a file system that is mounted read-only"
    groups = {os.getegid(), *os.getgroups()}
    entry = Entry(
        path=str(path),
        owner=user_name(found.st_uid),
        group=group_name(found.st_gid),
        mode=found.st_mode,
    )
    account = Account(owns=found.st_uid == os.geteuid(), in_group=found.st_gid in groups)
    return denial(entry, account, write=write)


def user_name(uid: int) -> str:
    """Return the name of an account, or its number if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return the name of a group, or its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
