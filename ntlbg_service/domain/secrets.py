"""Secrets taken out of what is shown and kept, and found in what must hold none."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from ntlbg_service.domain.named_secrets import NAMED
from ntlbg_service.domain.secret_names import is_secret_value, named
from ntlbg_service.domain.secret_shapes import CERTAIN, HIDDEN, SecretShape, is_filler

SHORTEST = 8
"""A known value of fewer characters is not looked for: it would be found in ordinary words."""


@dataclass(frozen=True)
class Secrets:
    """What is a secret here: `values` that are known, and whatever looks like one."""

    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str], more: Iterable[str] = ()) -> "Secrets":
        """Knows the values of all variables whose names are those of secrets, and `more`."""
        values = [
            value
            for name, value in environment.items()
            if named(name) or name.upper().endswith("_KEY")
        ]
        found = {value for value in (*values, *more) if len(value) >= SHORTEST}
        return cls(tuple(sorted(value for value in found if not is_filler(value))))

    def redacted(self, text: str) -> str:
        """A text that came from somewhere else with every secret in it hidden: known ones, tokens
        by their look, others by the names that they have there. One without any stays as it is."""
        return _hidden(self.printed(text), NAMED)

    def printed(self, text: str) -> str:
        """A text of this program's own, links and commands among it, with what is certainly a
        secret hidden: known ones and tokens. Names of its own words hide nothing."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return _hidden(text, CERTAIN)

    def hidden(self, value: Any) -> Any:
        """A JSON-shaped value with every secret in it hidden, in keys and in values."""
        if isinstance(value, str):
            return self.redacted(value)
        if isinstance(value, Mapping):
            return {
                self.redacted(key) if isinstance(key, str) else key: (
                    HIDDEN if _named(key, inner) else self.hidden(inner)
                )
                for key, inner in value.items()
            }
        if isinstance(value, Sequence) and not isinstance(value, bytes):
            return [self.hidden(inner) for inner in value]
        return value

    def place_in(self, value: Any, path: str = "") -> str | None:
        """Dotted path of the first secret in a JSON-shaped value, itself without secrets."""
        if isinstance(value, str):
            return path if self.redacted(value) != value else None
        if isinstance(value, Mapping):
            steps: Iterable[tuple[Any, Any]] = value.items()
        elif isinstance(value, Sequence):
            steps = enumerate(value)
        else:
            return None
        for key, inner in steps:
            below = f"{path}.{key}" if path else str(key)
            shown = self.redacted(below)
            if shown != below or _named(key, inner):
                return shown
            found = self.place_in(inner, below)
            if found is not None:
                return found
        return None

    @cached_property
    def _known(self) -> re.Pattern[str] | None:
        spellings = {
            spelt
            for value in self.values
            for spelt in (value, json.dumps(value)[1:-1], quote(value, safe=""))
        }
        patterns = [_pattern(spelt) for spelt in sorted(spellings, key=len, reverse=True)]
        return re.compile("|".join(patterns)) if patterns else None


def _hidden(text: str, shapes: Iterable[SecretShape]) -> str:
    lower = text.lower()
    for shape in shapes:
        if any(hint in lower for hint in shape.hints):
            text = shape.hidden(text)
    return text


def _named(key: Any, value: Any) -> bool:
    if not isinstance(key, str) or not isinstance(value, str) or value == HIDDEN:
        return False
    kind = named(key)
    return kind is not None and is_secret_value(kind, value)


def _pattern(value: str) -> str:
    """A secret that is made of letters alone may be part of a word that is none."""
    exact = re.escape(value)
    return rf"(?<![A-Za-z]){exact}(?![A-Za-z])" if value.isalpha() else exact
