"""A published file as it is taken apart: what is taken, what was decided, what nobody took."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published.keys import why_unused

DEEPEST = 50
"""Levels of a file that are told apart; the layout has seven."""


@dataclass(frozen=True, kw_only=True)
class Remark:
    """What a person should know about one key."""

    kind: Literal["decided", "unused"]
    path: str
    """Where the key stands in the published file."""
    text: str


class Reading:
    """The leaves of a published file by path; what is taken is gone, the rest is reported.

    Raises UserError for a path that is written both as a section and with a dot.
    """

    def __init__(self, values: Mapping[str, Any], source: str) -> None:
        self.source = source
        self.leaves: dict[str, Any] = {}
        self._remarks: list[Remark] = []
        for path, value in _leaves(values):
            if path in self.leaves:
                raise UserError(f"{source}: {path}: stands twice, as a section and with a dot")
            self.leaves[path] = value

    def take(self, path: str, fallback: Any = None) -> Any:
        """The value at a path, once."""
        return self.leaves.pop(path, fallback)

    def whole(self, path: str, fallback: int) -> int:
        """A whole number above 0 at a path, once. Raises UserError for anything else."""
        value = self.take(path, fallback)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"{self.source}: {path}: must be a whole number above 0, got {value!r}")
        return value

    def number(self, path: str, fallback: float) -> float:
        """A number above 0 at a path, once. Raises UserError for anything else."""
        value = self.take(path, fallback)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{self.source}: {path}: must be a number above 0, got {value!r}")
        return value

    def words(self, path: str, fallback: str = "") -> str:
        """A text at a path, once. Raises UserError for anything else."""
        value = self.take(path, fallback)
        if not isinstance(value, str):
            raise UserError(f"{self.source}: {path}: must be a text, got {value!r}")
        return value

    def names(self, prefix: str) -> list[str]:
        """Keys of objects, or their indices in a list, right below a prefix, in the file's order.

        A value that is no object has no name and stays where it is.
        """
        start = f"{prefix}."
        found: dict[str, None] = {}
        for path, value in list(self.leaves.items()):
            if path.startswith(start):
                name, deeper, _ = path.removeprefix(start).partition(".")
                if deeper or value == {}:
                    found[name] = None
                if not deeper and value == {}:
                    self.take(path)
        return list(found)

    def decide(self, path: str, text: str) -> None:
        """Say what was made of a key whose meaning had to be decided."""
        self._remarks.append(Remark(kind="decided", path=path, text=text))

    def leave(self, path: str, why: str) -> None:
        """Say why a key, and all below it, is not used."""
        self.leaves = {
            key: value
            for key, value in self.leaves.items()
            if key != path and not key.startswith(f"{path}.")
        }
        self._remarks.append(Remark(kind="unused", path=path, text=why))

    def remarks(self) -> tuple[Remark, ...]:
        """Everything said, then every key that nothing took."""
        rest = (Remark(kind="unused", path=path, text=why_unused(path)) for path in self.leaves)
        return (*self._remarks, *rest)


def _leaves(value: Any, path: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    """Leaves by path. A list of objects is a level of its own, any other list is a leaf, and so is
    all below the deepest level.
    """
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        inner = enumerate(value)
    pairs = list(inner) if depth < DEEPEST else []
    if not pairs:
        yield path, value
    for key, item in pairs:
        yield from _leaves(item, f"{path}.{key}" if depth else str(key), depth + 1)
