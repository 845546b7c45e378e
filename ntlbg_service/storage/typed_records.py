"""Typed records in storage, parsed as strictly as a config; a mismatch is a corrupt record."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TypeVar

from ntlbg_service.domain.errors import UserError, in_one_line
from ntlbg_service.domain.resolve import parse
from ntlbg_service.storage.local import CorruptRecordError, Storage

T = TypeVar("T")


def read_record(storage: Storage, kind: type[T], key: str) -> T | None:
    """Return the record of a key, or None; raise CorruptRecordError if it is corrupt."""
    found = storage.get(key)
    return None if found is None else _parsed(kind, found, key)


def read_intact(storage: Storage, kind: type[T], key: str) -> T | None:
    """Return the record of a key; None if it is missing or corrupt.

    For records that are written again periodically.
    """
    try:
        return read_record(storage, kind, key)
    except CorruptRecordError:
        return None


def read_records(storage: Storage, kind: type[T], key: str) -> Iterator[T]:
    """Yield the records of a JSON lines object; skip corrupt lines and a truncated last one."""
    for row in storage.lines(key):
        with suppress(CorruptRecordError):
            yield _parsed(kind, row, key)


def damaged_lines(storage: Storage, kind: type[T], key: str) -> int:
    """Count the complete lines of an object that are not valid records."""
    return sum(row is None or not _is(kind, row, key) for row in storage.rows(key))


def _is(kind: type[T], row: dict[str, Any], key: str) -> bool:
    try:
        _parsed(kind, row, key)
    except CorruptRecordError:
        return False
    return True


def _parsed(kind: type[T], found: dict[str, Any], key: str) -> T:
    """Parse a record; raise CorruptRecordError with a one-line message."""
    try:
        return parse(kind, found, key)
    except (UserError, RecursionError) as error:
        raise CorruptRecordError(f"storage: {in_one_line(str(error))}") from None
