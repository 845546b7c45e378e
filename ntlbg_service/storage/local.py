"""Storage in a local or shared folder."""

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.storage.confined import confined
from ntlbg_service.storage.permissions import FILE, REFUSED, explained

WRITERS = 4
"""Threads that write objects at once."""
DOOMED = ".gone-"
"""A folder is renamed to this before it is deleted, so that no half of one is ever resumed."""


NO_FILE = (IsADirectoryError, NotADirectoryError)
"""What stands where a file should be: that stays so."""


class AlreadyWrittenError(InfrastructureError):
    """A write-once object exists with other content."""


class DamagedError(InfrastructureError):
    """An object in storage that is not what was written there."""


class StorageAwayError(InfrastructureError, OSError):
    """The storage did not answer, or took nothing: full, away, forbidden. What lies in it is
    unknown, and whoever waits may find it as it was."""


class ForbiddenError(StorageAwayError):
    """This account may not read or write an object; the words say what mends it."""

    exit_code = UserError.exit_code


class Storage(Protocol):
    """What the service asks of a place for results. All may raise StorageAwayError."""

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a JSON object once, durably; the same again is silent, another one raises."""

    def put_all(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Write several, as `put` does each."""

    def get(self, key: str) -> dict[str, Any] | None:
        """A JSON object, or None."""

    def touch(self, key: str, value: Mapping[str, Any]) -> None:
        """Overwrite a JSON object that is no result: a reader sees the old one or the new one."""

    def age(self, key: str) -> float | None:
        """Seconds since an object was written, by the storage's clock; None without one."""

    def append(self, key: str, value: Mapping[str, Any]) -> None:
        """Append one JSON line."""

    def lines(self, key: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Complete JSON lines from number `start` on; none when there is no such object."""

    def keys(self, folder: str) -> list[str]:
        """Keys of the objects directly in a folder, sorted."""

    def path(self, key: str) -> Path:
        """Where an object lies, for tools that want a file. Raises LeavesStorageError."""


class LocalStorage:
    """Objects as files below `root`. Safe against a kill at any moment."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def path(self, key: str) -> Path:
        """The file of an object. Raises LeavesStorageError for a key that leads elsewhere."""
        with _answering(key):
            return confined(self.root, key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a JSON object once: whole or not at all, synced to disk."""
        path = self.path(key)
        data = _lines(value).encode()
        with _answering(key), _beside(path, data, sync=True) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                there = path.read_bytes()
                if there != data and json.loads(there) != json.loads(data):
                    raise AlreadyWrittenError(f"{key} is written already") from None

    def put_all(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Write several JSON objects, as `put` does each; the disk syncs them together."""
        if len(values) == 1:
            self.put(*next(iter(values.items())))
            return
        with ThreadPoolExecutor(WRITERS) as pool:
            for done in [pool.submit(self.put, key, value) for key, value in values.items()]:
                done.result()

    def touch(self, key: str, value: Mapping[str, Any]) -> None:
        """Overwrite a JSON object that is no result: whole, but not synced to disk."""
        path, data = self.path(key), json.dumps(value, sort_keys=True).encode()
        with _answering(key), _beside(path, data, sync=False) as temporary:
            temporary.replace(path)

    def age(self, key: str) -> float | None:
        """Seconds since an object was written, by this machine's clock and the file's time."""
        with _answering(key), contextlib.suppress(FileNotFoundError):
            return max(0.0, time.time() - self.path(key).stat().st_mtime)
        return None

    def get(self, key: str) -> dict[str, Any] | None:
        """A JSON object, or None where there is none. Raises DamagedError for anything else."""
        with _answering(key):
            try:
                found = json.loads(self.path(key).read_bytes())
            except FileNotFoundError:
                return None
            except (*NO_FILE, ValueError, RecursionError) as error:
                raise DamagedError(f"storage: {key} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise DamagedError(f"storage: {key} is no JSON object")
        return found

    def append(self, key: str, value: Mapping[str, Any]) -> None:
        """Append one JSON line in a single write."""
        path = self.path(key)
        with _answering(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(json.dumps(value, sort_keys=True).encode() + b"\n")

    def lines(self, key: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Complete JSON lines from number `start` on. What a kill has cut, and what is no object,
        is left out."""
        for number, line in enumerate(self._file(key)):
            if number >= start and line.endswith(b"\n"):
                with contextlib.suppress(ValueError, RecursionError):
                    row = json.loads(line)
                    if isinstance(row, dict):
                        yield row

    def _file(self, key: str) -> Iterator[bytes]:
        """The lines of a file; none where there is no file."""
        with (
            _answering(key),
            contextlib.suppress(FileNotFoundError, *NO_FILE),
            self.path(key).open("rb") as file,
        ):
            yield from file

    def keys(self, folder: str) -> list[str]:
        """Keys of the objects directly in a folder, sorted."""
        path = self.path(folder)
        with _answering(folder), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            names = [found.name for found in path.iterdir()]
            return sorted(f"{folder}/{name}" for name in names if not name.startswith("."))
        return []


@contextmanager
def _answering(key: str) -> Iterator[None]:
    """Whatever the system says of the storage is one kind of error."""
    try:
        yield
    except OSError as error:
        if isinstance(error, InfrastructureError):
            raise
        kind = ForbiddenError if error.errno in REFUSED else StorageAwayError
        raise kind(f"storage: {key}: {explained(error)}") from error


def _lines(value: Mapping[str, Any]) -> str:
    """A JSON object, sorted, a line for each of its own keys: `indent` would take ten times as
    long."""
    rows = (f"{json.dumps(key)}: {json.dumps(value[key], sort_keys=True)}" for key in sorted(value))
    return "{\n " + ",\n ".join(rows) + "\n}"


def take_away(path: Path) -> None:
    """Delete a file or a folder, which no reader ever finds half gone. Gone already is no error.
    Of a link the link goes."""
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f"{DOOMED}{path.name.removeprefix(DOOMED)}")
        path.replace(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _beside(path: Path, data: bytes, *, sync: bool) -> Iterator[Path]:
    """A file with `data` in the folder of `path`; gone afterwards, whatever happens."""
    temporary = path.with_name(f".put-{secrets.token_hex(8)}")
    handle = _opened(temporary)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(handle)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path) -> int:
    """A new file, and its folder where it is not there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        return os.open(path, flags, FILE)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, FILE)
