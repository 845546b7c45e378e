"""YAML files of other tools: the values in use are checked, all others are ignored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from ntlbg_service.domain.errors import UserError


def documents_of(path: Path) -> list[dict[str, Any]]:
    """Return the mappings of a YAML file, of plain values alone. Raises UserError in one line."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: has more than {MOST_BYTES // 1024} KiB")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    try:
        for tree in yaml.compose_all(text, yaml.SafeLoader):
            _check_size(tree, path)
        found = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not understood"
        raise UserError(f"{path}{place}: not YAML: {problem}") from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())[:100]}") from None
    return [document for document in found if isinstance(document, dict)]


MOST_BYTES = 1024**2
"""Limit of a file's size; Kubernetes stores no larger resource either."""
MOST_VALUES = 100_000
"""Limit of a document's values after its aliases are expanded."""


def _check_size(tree: yaml.Node | None, path: Path) -> None:
    """Raise UserError where aliases expand to more values than any cluster's file has.

    Nine lines of nine aliases each would be a billion.
    """
    sizes: dict[int, int] = {}

    def size_of(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MOST_VALUES + 1  # Ends a cycle of aliases.
            below = node.value if isinstance(node, yaml.CollectionNode) else ()
            parts = chain.from_iterable(
                part if isinstance(part, tuple) else (part,) for part in below
            )
            sizes[id(node)] = 1 + sum(map(size_of, parts))
        return sizes[id(node)]

    if tree is not None and size_of(tree) > MOST_VALUES:
        raise UserError(
            f"{path}: its aliases (*name) stand for more than {MOST_VALUES} values when they are "
            "written out; write out what they stand for"
        )


@dataclass(frozen=True)
class At:
    """A value of a file, with its place there."""

    path: Path
    place: str
    value: Any

    def at(self, key: str) -> "At":
        """Return the value of a mapping's key; None where the key or the mapping is missing."""
        place = f"{self.place}.{key}" if self.place else key
        if self.value is None:
            return At(self.path, place, None)
        if not isinstance(self.value, Mapping):
            raise self.wrong("must be a mapping")
        return At(self.path, place, self.value.get(key))

    def items(self) -> "list[tuple[str, At]]":
        """Return every key of a mapping with its value."""
        if not isinstance(self.value, Mapping):
            raise self.wrong("must be a mapping")
        pairs = self.value.items()
        return [(str(key), At(self.path, f"{self.place}.{key}", of)) for key, of in pairs]

    def each(self) -> "list[At]":
        """Return every element of a list."""
        if not isinstance(self.value, Sequence) or isinstance(self.value, str):
            raise self.wrong("must be a list")
        return [At(self.path, f"{self.place}.{n}", of) for n, of in enumerate(self.value)]

    def count(self, otherwise: int) -> int:
        """Return a whole number of at least 0; `otherwise` where the value is missing."""
        if self.value is None:
            return otherwise
        try:
            number = float(self.value)
        except (TypeError, ValueError):
            raise self.wrong(f"must be a number, got {self.value!r}") from None
        if number < 0 or not number.is_integer():
            raise self.wrong(f"must be a whole number from 0, got {self.value!r}")
        return int(number)

    def texts(self) -> dict[str, str]:
        """Return a mapping of texts; empty where the value is missing."""
        return {} if self.value is None else {key: str(of.value) for key, of in self.items()}

    def wrong(self, what: str) -> UserError:
        """Return the error for this place."""
        where = f"{self.path}: {self.place}" if self.place else str(self.path)
        return UserError(f"{where}: {what}")
