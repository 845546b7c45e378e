"""Records in storage, read with the same strictness as a config: what is not one is damaged."""

from collections.abc import Iterator
from typing import TypeVar

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.resolve import parse
from ntlbg_service.storage.local import DamagedError, Storage

T = TypeVar("T")


def read_record(storage: Storage, kind: type[T], key: str) -> T | None:
    """The record of a key, None without one. Raises DamagedError."""
    found = storage.get(key)
    if found is None:
        return None
    try:
        return parse(kind, found, key)
    except UserError as error:
        raise DamagedError(f"storage: {error}") from None


def read_intact(storage: Storage, kind: type[T], key: str) -> T | None:
    """The same, and None also for one that is damaged: of signs of which the next will come."""
    try:
        return read_record(storage, kind, key)
    except DamagedError:
        return None


def read_records(storage: Storage, kind: type[T], key: str) -> Iterator[T]:
    """The records of an object of JSON lines. Lines that are none are left out, as is one that a
    kill has cut."""
    for row in storage.lines(key):
        try:
            found = parse(kind, row, key)
        except UserError:
            continue
        yield found
