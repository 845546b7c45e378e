"""Layers of JSON to one validated config, with the source of every value."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ntlbg_model.config import Config
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.profiles import Profile, profile_named

T = TypeVar("T")

DEFAULT = "default"
REFUSED = "trust_remote_code"
REFUSAL = "code that comes with a checkpoint is never run"
RENAMED = {
    "stand_out": "min_prominence",
    "beside_peaks": "suppress_secondary_peaks",
    "quiet_cells": "empty_cell_policy",
}
"""New names of options by their old ones, which are unknown keys."""


@dataclass(frozen=True)
class Layer:
    """Values from one place. A key may be a section (`{"video": {...}}`) or a dotted path."""

    source: str
    """Where the values stand, as shown in errors: a file, or a file and the place in it."""
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    """A whole, validated config and where each of its values came from."""

    config: Config
    provenance: Mapping[str, str]
    """Dotted path of every leaf to the source of its value, or 'default'."""


def resolve(layers: Sequence[Layer], kinds: Iterable[Profile] = ()) -> Resolved:
    """Merge layers, later ones winning, and validate the result strictly.

    `kinds` are GPU kinds beside those built in.
    Raises UserError with one line: source, dotted path, what is wrong, the nearest valid choice.
    """
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        for path, value in flatten(layer):
            _put(merged, path, value, layer.source)
            sources[path] = layer.source
    config = parse(Config, merged, _nearest_source(sources, layers))
    provenance = {path: _origin(path, sources) for path in leaves(config)}
    if config.hardware.profile is not None:
        place = "hardware.profile"
        profile_named(config.hardware.profile, f"{provenance[place]}: {place}", kinds)
    return Resolved(config, provenance)


def flatten(layer: Layer) -> Iterable[tuple[str, Any]]:
    """Dotted paths of a layer's values; every path is checked against the config's fields."""
    for key, value in layer.values.items():
        yield from _descend(key, value, layer.source)


def _descend(path: str, value: Any, source: str) -> Iterable[tuple[str, Any]]:
    kind = field_type(path, source)
    if isinstance(value, Mapping) and is_dataclass(kind):
        for key, inner in value.items():
            yield from _descend(f"{path}.{key}", inner, source)
    else:
        yield path, value


def field_type(path: str, source: str) -> Any:
    """Type of the field at a dotted path of Config. Raises UserError for an unknown path."""
    kind: Any = Config
    parts = path.split(".")
    for depth, part in enumerate(parts):
        hints = _hints(kind)
        if part not in hints:
            raise UserError(f"{source}: {path}: unknown key{_unknown_key(parts, depth, hints)}")
        kind = hints[part]
    return kind


def _unknown_key(parts: Sequence[str], depth: int, siblings: Mapping[str, Any]) -> str:
    if parts[-1] == REFUSED:
        return f"; {REFUSAL}"
    near = difflib.get_close_matches(parts[depth], siblings, n=1, cutoff=0.5)
    parent = ".".join(parts[:depth])
    prefix = f"{parent}." if parent else ""
    if parts[-1] in RENAMED:
        return f"; it is called '{prefix}{RENAMED[parts[-1]]}' now"
    same_leaf = [known for known in known_paths() if known.split(".")[-1] == parts[-1]]
    if same_leaf:
        return f"; did you mean '{same_leaf[0]}'?"
    if near:
        return f"; did you mean '{prefix}{near[0]}'?"
    if siblings:
        return f"; valid here: {', '.join(sorted(siblings))}"
    return f"; '{parent}' is set as a whole"


@lru_cache(maxsize=1)
def known_paths() -> tuple[str, ...]:
    """Dotted path of every leaf option, in the order of the config."""
    return tuple(path for path, _ in _leaves(asdict(Config())))


@lru_cache(maxsize=256)
def _hints(kind: Any) -> Mapping[str, Any]:
    """Types of a dataclass's fields by name; empty for any other type."""
    if not is_dataclass(kind):
        return {}
    hints = get_type_hints(kind)
    return {name: hint for name, hint in hints.items() if not name.startswith("__")}


def parse(kind: type[T], values: Mapping[str, Any], source: str | Mapping[str, str] = "") -> T:
    """Validate JSON-shaped values as a dataclass, strictly. Raises UserError in one line.

    `source` is the file, or a mapping from dotted path to file ('' is the fallback).
    """
    try:
        checked: T = _adapter(cast(Any, kind)).validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        path, message = _describe(kind, _most_telling(error.errors()))
        where = source if isinstance(source, str) else _origin(path, source, source.get("", ""))
        raise UserError(f"{where}: {path}: {message}" if path else f"{where}: {message}") from None
    return checked


def with_current_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config that an earlier version stored, with its options under today's names."""
    section = config.get("selection")
    if not isinstance(section, Mapping) or RENAMED.keys().isdisjoint(section):
        return dict(config)
    renamed = {RENAMED.get(name, name): value for name, value in section.items()}
    return {**config, "selection": renamed}


@lru_cache(maxsize=16)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def json_schema(kind: Any) -> dict[str, Any]:
    """JSON schema of a dataclass, with the documentation of every field."""
    return _adapter(kind).json_schema()


UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")
"""Pydantic's names for a key that no field has."""


def _most_telling(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """An unknown key first: misspelt, a required key is reported as missing as well."""
    return next((error for error in errors if error["type"] in UNKNOWN_KEY), errors[0])


def _describe(kind: type[Any], error: ErrorDetails) -> tuple[str, str]:
    loc = [str(part) for part in error["loc"]]
    path = ".".join(loc)
    match error["type"]:
        case unknown if unknown in UNKNOWN_KEY:
            if loc[-1] == REFUSED:
                return path, f"unknown key; {REFUSAL}"
            names = _names_at(kind, loc[:-1])
            if loc[-1] in RENAMED:
                return path, f"unknown key; it is called '{RENAMED[loc[-1]]}' now"
            near = difflib.get_close_matches(loc[-1], names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"valid here: {', '.join(names)}"
            return path, f"unknown key; {hint}"
        case "literal_error":
            expected = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            near = difflib.get_close_matches(str(error["input"]), expected, n=1, cutoff=0.4)
            hint = f"did you mean '{near[0]}'?" if near else f"valid: {', '.join(expected)}"
            return path, f"{error['input']!r} is not a choice; {hint}"
        case "value_error":
            message = str(error["ctx"]["error"])
            name, _, rest = message.partition(" ")
            return (f"{path}.{name}" if path else name), rest
        case "missing":
            return path, "is required"
        case "too_long":
            return path, f"must have at most {error['ctx']['max_length']} items"
        case _:
            wanted = error["msg"].removeprefix("Input should be ")
            return path, f"must be {wanted}, got {json.dumps(error['input'])}"


def _names_at(kind: Any, loc: Sequence[str]) -> list[str]:
    """Fields of the dataclass at a place; list indices and dictionary keys are steps as well."""
    for part in loc:
        element = next((arg for arg in get_args(kind) if is_dataclass(arg)), None)
        kind = _hints(kind).get(part, element)
    return list(_hints(kind))


def choices(path: str) -> tuple[str, ...]:
    """Valid values of an option that is a choice; empty for any other option."""
    kind = field_type(path, "")
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


def _put(tree: dict[str, Any], path: str, value: Any, source: str) -> None:
    *parents, leaf = path.split(".")
    for part in parents:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise UserError(f"{source}: {path}: '{part}' was set to a single value before")
        tree = below
    tree[leaf] = value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, path + ".")
        else:
            yield path, value


def leaves(config: Config) -> dict[str, Any]:
    """Every option of a config by dotted path."""
    return dict(_leaves(asdict(config)))


def _origin(path: str, sources: Mapping[str, str], fallback: str = DEFAULT) -> str:
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        known = sources.get(".".join(parts[:end]))
        if known is not None:
            return known
    return fallback


def _nearest_source(sources: Mapping[str, str], layers: Sequence[Layer]) -> Mapping[str, str]:
    return {**sources, "": layers[-1].source if layers else DEFAULT}
