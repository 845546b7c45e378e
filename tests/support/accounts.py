"""Several Unix accounts and a group of theirs, and what each of them sees of a folder.

Where the tests run as root, each account is another one, by ids that need no entry in passwd. Where
they do not, all are the one that runs them: modes and owners are the same, and nothing is skipped.
"""

import io
import os
import pickle
import stat
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple, TypeVar

import ntlbg_service
from ntlbg_service import cli

T = TypeVar("T")
SWITCHES = os.geteuid() == 0
LAB = 61000 if SWITCHES else os.getegid()


class Account(NamedTuple):
    """An account: by its number, and whether it belongs to the lab."""

    name: str
    number: int
    in_lab: bool = True


ADA, BOB, EVE = (Account(name, 61001 + at) for at, name in enumerate(("ada", "bob", "eve")))
STRANGER = Account("mallory", 61009, in_lab=False)


class Said(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


def act_as(account: Account, act: Callable[[], T], umask: int = 0o002) -> T:
    """What `act` returns in a process of the account. Raises AssertionError with its traceback."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, and those of the test runner hold nothing that is used here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "wb") as answer:
            try:
                _become(account, umask)
                pickle.dump((True, act()), answer)
            # Whatever it is, the parent reports it.
            except BaseException:
                pickle.dump((False, traceback.format_exc()), answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        well, found = pickle.load(answer)
    os.waitpid(child, 0)
    assert well, found
    return found  # type: ignore[no-any-return]


def _become(account: Account, umask: int) -> None:
    if SWITCHES:
        os.setgroups([LAB] if account.in_lab else [])
        os.setresgid(account.number, account.number, account.number)
        os.setresuid(account.number, account.number, account.number)
    os.umask(umask)
    os.environ["NTLBG_USER"] = account.name


def say(*words: str | Path) -> Said:
    """What a command prints in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    sys.argv = ["ntlbg", *map(str, words)]
    code: str | int | None = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    printed = (each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]
    return Said(int(code or 0), *printed)


@contextmanager
def lab_folder(mode: int = 0o2770) -> Iterator[Path]:
    """A folder of the lab's group, which every account can come to."""
    with tempfile.TemporaryDirectory(prefix="ntlbg-lab-") as made, reachable(Path(made)):
        Path(made).chmod(0o755)
        folder = Path(made) / "lab"
        folder.mkdir()
        os.chown(folder, -1, LAB)
        folder.chmod(mode)
        yield folder


@contextmanager
def reachable(*more: Path) -> Iterator[None]:
    """The code and the interpreter, for every account: in a private folder of root no other one
    could run anything. What was opened for it is closed again."""
    places = (Path(ntlbg_service.__file__), Path(sys.prefix), Path(sys.base_prefix), *more)
    closed = [
        (folder, folder.stat().st_mode)
        for folder in {parent for place in places for parent in place.resolve().parents}
        if SWITCHES and not folder.stat().st_mode & stat.S_IXOTH
    ]
    for folder, mode in closed:
        folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
    try:
        yield
    finally:
        for folder, mode in closed:
            folder.chmod(stat.S_IMODE(mode))


def everything_in(folder: Path) -> Sequence[Path]:
    """A folder and all that is below it."""
    return [folder, *sorted(folder.rglob("*"))]
