"""What two resolved configs do differently, option by option."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ntlbg_service.domain.resolve import Resolved, leaves


@dataclass(frozen=True, kw_only=True)
class Sourced:
    """A value and where it was set."""

    value: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class Change:
    """One option that differs. None on a side: a list is shorter there."""

    option: str
    """Dotted path; a number is a place in a list."""
    a: Sourced | None
    b: Sourced | None


def difference(a: Resolved, b: Resolved) -> tuple[Change, ...]:
    """Every option whose value differs, in the order of the config."""
    left, right = leaves(a.config), leaves(b.config)
    return tuple(
        Change(option=path, a=_sourced(ours, path, a, top), b=_sourced(theirs, path, b, top))
        for top in left
        for path, ours, theirs in _pairs(top, left[top], right[top])
        if ours != theirs
    )


class _Absent:
    """Stands for what only the other side has; null is a value."""


ABSENT = _Absent()


def _sourced(value: Any, path: str, side: Resolved, top: str) -> Sourced | None:
    return None if value is ABSENT else Sourced(value=value, source=side.provenance[top])


def _pairs(path: str, ours: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    """Values of both sides by path: objects in lists are taken apart, other lists are not."""
    if not (_objects(ours) and _objects(theirs)):
        yield path, ours, theirs
        return
    a, b = dict(_inner(path, ours)), dict(_inner(path, theirs))
    for key in dict.fromkeys([*a, *b]):
        yield key, a.get(key, ABSENT), b.get(key, ABSENT)


def _objects(value: Any) -> bool:
    """Whether it is a list of nothing but objects."""
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)


def _inner(path: str, objects: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    for index, item in enumerate(objects):
        for key, value in item.items():
            yield f"{path}.{index}.{key}", value
