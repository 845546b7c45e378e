"""Who may read and write what is made in a folder, and what mends a refusal."""

import stat
from dataclasses import dataclass

NOBODY_ELSE = 0o077
WORLD = 0o007
GROUP = 0o070


def umask_below(mode: int) -> int:
    """Return the umask for what is made below a folder of this mode.

    A setgid folder is shared: its group gets what the folder itself grants the group. Any other
    folder is private. The world gets nothing in either.
    """
    if not mode & stat.S_ISGID:
        return NOBODY_ELSE
    return WORLD | (GROUP & ~mode)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or folder as the file system describes it."""

    path: str
    owner: str
    group: str
    mode: int

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, kw_only=True)
class Account:
    """The process that asks."""

    owns: bool
    """Whether the entry is its own."""
    in_group: bool
    """Whether it acts with the entry's group."""


def denial(entry: Entry, account: Account, *, write: bool) -> str:
    """Say who owns an entry that was refused, and which command mends it."""
    wanted = ("rwx" if write else "rx") if entry.is_folder else ("rw" if write else "r")
    owned = f"{entry.path} belongs to {entry.owner}, group {entry.group}"
    owned += f", mode {stat.S_IMODE(entry.mode):04o}"
    if account.owns:
        return f"{owned}; 'chmod u+{wanted} {entry.path}' mends it"
    if account.in_group:
        return f"{owned}; {entry.owner} mends it with 'chmod -R g+{_deep(wanted)} {entry.path}'"
    if entry.mode & _group_bits(wanted) == _group_bits(wanted):
        return f"{owned}; 'newgrp {entry.group}' mends it for members of that group"
    return f"{owned}, and grants you nothing; ask {entry.owner}"


def _deep(wanted: str) -> str:
    """The rights for everything below a folder: X is x where it means something."""
    return wanted.replace("x", "X")


def _group_bits(wanted: str) -> int:
    bits = {"r": stat.S_IRGRP, "w": stat.S_IWGRP, "x": stat.S_IXGRP}
    return sum(bits[letter] for letter in wanted)
