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

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.process.permissions import FILE, REFUSED, explained
from ntlbg_service.storage.confined import confined
from ntlbg_service.storage.errors import AlreadyWrittenError as AlreadyWrittenError
from ntlbg_service.storage.errors import CorruptRecordError as CorruptRecordError
from ntlbg_service.storage.errors import ForbiddenError as ForbiddenError
from ntlbg_service.storage.errors import LeavesStorageError
from ntlbg_service.storage.errors import StorageUnavailableError as StorageUnavailableError
from ntlbg_service.storage.files import IN_THE_WAY, closed_by_owner, read_lines, read_whole
from ntlbg_service.storage.layout import HOME

WRITERS = 4
"""Threads that write objects at once."""
DOOMED = ".gone-"
"""A folder is renamed to this before it is deleted, so that no half of one is ever resumed."""


class Storage(Protocol):
    """What the service asks of a place for results. All may raise StorageUnavailableError."""

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

    def rows(self, key: str) -> Iterator[dict[str, Any] | None]:
        """Complete JSON lines, None for what is none."""

    def keys(self, folder: str) -> list[str]:
        """Keys of the objects directly in a folder, sorted."""

    def path(self, key: str) -> Path:
        """Where an object lies, for tools that want a file. Raises LeavesStorageError."""

    def folder(self, key: str) -> Path:
        """Make a folder, for files that are no objects. Raises LeavesStorageError."""


class LocalStorage:
    """Objects as files below `root`. Safe against a kill at any moment.

    A root that was there is never made again. Where it is gone the storage was moved or is not
    mounted: all that is asked raises StorageUnavailableError.
    """

    def __init__(self, root: Path, home: str | None = None) -> None:
        """`home`: the id that the storage must have where something is written."""
        self.root = root.resolve()
        self.home = home
        self._seen = self.root.is_dir()

    def path(self, key: str) -> Path:
        """The file of an object. Raises LeavesStorageError for a key that leads elsewhere."""
        with _answering(key):
            return confined(self.root, key)

    def put(self, key: str, value: Mapping[str, Any]) -> None:
        """Write a JSON object once: whole or not at all, synced to disk."""
        path = self.path(key)
        data = _lines(value).encode()
        with _answering(key), self._beside(path, data, sync=True) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                if not _same(path, data):
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
        with _answering(key), self._beside(path, data, sync=False) as temporary:
            temporary.replace(path)

    def age(self, key: str) -> float | None:
        """Seconds since an object was written, by this machine's clock and the file's time."""
        gone = (FileNotFoundError, CorruptRecordError)
        with contextlib.suppress(*gone), _answering(key, FileNotFoundError):
            return max(0.0, time.time() - self.path(key).stat().st_mtime)
        self._look()
        return None

    def get(self, key: str) -> dict[str, Any] | None:
        """A JSON object, or None where there is none. Raises CorruptRecordError for anything
        else."""
        with _answering(key):
            try:
                found = json.loads(read_whole(self.path(key)))
            except FileNotFoundError:
                self._look()
                return None
            except LeavesStorageError:
                raise
            except (CorruptRecordError, ValueError, RecursionError) as error:
                raise CorruptRecordError(f"storage: {key} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise CorruptRecordError(f"storage: {key} is no JSON object")
        return found

    def append(self, key: str, value: Mapping[str, Any]) -> None:
        """Append one JSON line in a single write."""
        path = self.path(key)
        with _answering(key):
            self._check_home()
            self._make(path.parent)
            with path.open("ab") as file:
                file.write(json.dumps(value, sort_keys=True).encode() + b"\n")

    def lines(self, key: str, start: int = 0) -> Iterator[dict[str, Any]]:
        """Complete JSON lines from number `start` on. What a kill has cut, and what is no object,
        is left out."""
        for number, row in enumerate(self.rows(key)):
            if number >= start and row is not None:
                yield row

    def rows(self, key: str) -> Iterator[dict[str, Any] | None]:
        """Every complete JSON line; None for one that is no object."""
        try:
            with _answering(key, FileNotFoundError):
                for line in read_lines(self.path(key)):
                    if line.endswith(b"\n"):
                        yield _object(line)
        except FileNotFoundError:
            self._look()
        except CorruptRecordError:
            yield None

    def keys(self, folder: str) -> list[str]:
        """Keys of the objects directly in a folder, sorted."""
        gone = (FileNotFoundError, NotADirectoryError, CorruptRecordError)
        with contextlib.suppress(*gone), _answering(folder, FileNotFoundError, NotADirectoryError):
            names = [found.name for found in self.path(folder).iterdir()]
            return sorted(f"{folder}/{name}" for name in names if not name.startswith("."))
        self._look()
        return []

    def folder(self, key: str) -> Path:
        """Make a folder, for files that are no objects; the one that is there is left."""
        path = self.path(key)
        with _answering(key):
            self._check_home()
            self._make(path)
        return path

    def _look(self) -> None:
        """Raise StorageUnavailableError where the root is gone, so that nothing in it is taken for
        missing."""
        if self._seen and not self.root.is_dir():
            raise StorageUnavailableError(
                f"storage: {self.root} is gone: was it moved, or not mounted?"
            )
        self._seen = self._seen or self.root.is_dir()

    def _check_home(self) -> None:
        """Raise StorageUnavailableError where another home lies in place of this one."""
        if self.home is not None and (self.get(HOME) or {}).get("id") != self.home:
            raise StorageUnavailableError(f"storage: {self.root} is another home by now")

    def _make(self, folder: Path) -> None:
        """Make a folder below the root, step by step: a root that goes meanwhile is not made."""
        if folder.is_dir():
            return
        self._look()
        if not self._seen:
            self.root.mkdir(parents=True, exist_ok=True)
            self._seen = True
        at = self.root
        for part in folder.relative_to(self.root).parts:
            at = at / part
            with contextlib.suppress(FileExistsError):
                at.mkdir()

    @contextmanager
    def _beside(self, path: Path, data: bytes, *, sync: bool) -> Iterator[Path]:
        """A file with `data` in the folder of `path`; gone afterwards, whatever happens."""
        self._check_home()
        temporary = path.with_name(f".put-{secrets.token_hex(8)}")
        handle = self._opened(temporary)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(handle)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _opened(self, path: Path) -> int:
        """A new file, and its folder where it is not there."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            return os.open(path, flags, FILE)
        except FileNotFoundError:
            self._make(path.parent)
            return os.open(path, flags, FILE)


@contextmanager
def _answering(key: str, *passing: type[OSError]) -> Iterator[None]:
    """Whatever the system says of the storage is one of two kinds of error, but for `passing`: it
    does not answer, or what lies there is damaged."""
    try:
        yield
    except passing:
        raise
    except OSError as error:
        if isinstance(error, InfrastructureError):
            raise
        why = f"storage: {key}: {explained(error)}"
        if isinstance(error, IN_THE_WAY) or _closed(error):
            raise CorruptRecordError(why) from error
        kind = ForbiddenError if error.errno in REFUSED else StorageUnavailableError
        raise kind(why) from error


def _closed(error: OSError) -> bool:
    forbidden = isinstance(error, PermissionError) and error.filename is not None
    return forbidden and closed_by_owner(Path(error.filename))


def _same(path: Path, data: bytes) -> bool:
    """Whether a file holds this JSON object already."""
    with contextlib.suppress(CorruptRecordError, ValueError, RecursionError):
        there = read_whole(path)
        return there == data or bool(json.loads(there) == json.loads(data))
    return False


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line; None where it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        row = json.loads(line)
        if isinstance(row, dict):
            return row
    return None


def _lines(value: Mapping[str, Any]) -> str:
    """A JSON object, sorted, a line for each of its own keys: `indent` would take ten times as
    long."""
    rows = (f"{json.dumps(key)}: {json.dumps(value[key], sort_keys=True)}" for key in sorted(value))
    return "{\n " + ",\n ".join(rows) + "\n}"


def delete_atomically(path: Path) -> None:
    """Delete a file or a folder, which no reader ever finds half gone. Gone already is no error.
    Of a link the link goes."""
    if path.is_dir() and not path.is_symlink():
        doomed = path.with_name(f"{DOOMED}{path.name.removeprefix(DOOMED)}")
        path.replace(doomed)
        shutil.rmtree(doomed)
    else:
        path.unlink(missing_ok=True)
