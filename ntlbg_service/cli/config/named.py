"""The one config that a person names: `FILE`, `FILE:CATEGORY`, `FILE:VARIANT@SCALE`."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ntlbg_model.config import Config
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.config_files.json_files import is_file, read_json
from ntlbg_service.config_files.loader import load_main, load_suite
from ntlbg_service.domain.errors import UserError, nearest
from ntlbg_service.domain.expansion import base_layers, expand
from ntlbg_service.domain.resolve import Layer, Resolved, resolve
from ntlbg_service.domain.suite import CategorySpec, SuiteFiles

SET = "--set"
"""Where values of the command line come from."""


@dataclass(frozen=True, kw_only=True)
class Name:
    """What was typed, taken apart."""

    file: Path
    part: str | None = None
    """A category of a main config; a variant of a suite, or GROUP/VARIANT."""
    scale: str | None = None
    """Of a suite."""

    def __str__(self) -> str:
        part = f":{self.part}" if self.part else ""
        return f"{self.file}{part}{f'@{self.scale}' if self.scale else ''}"


def parse_name(text: str, same: Path | None = None) -> Name:
    """Take `FILE:PART@SCALE` apart; what begins with `:` or `@` is of the file `same`."""
    if is_file(Path(text)):
        return Name(file=Path(text))
    body, scale = text, ""
    if "@" in text and "/" not in text.rpartition("@")[2]:
        body, _, scale = text.rpartition("@")
    file, _, part = body.partition(":")
    if not file and same is None:
        raise UserError(f"{text}: must begin with a file, for example FILE:CATEGORY")
    return Name(file=Path(file) if file else same or Path(), part=part or None, scale=scale or None)


def refine(
    name: Name,
    *,
    category: str | None = None,
    variant: str | None = None,
    scale: str | None = None,
) -> Name:
    """The name with what options say; they win over what stands in it. Raises UserError."""
    if category is None and variant is None and scale is None:
        return name
    suite = isinstance(read_json(name.file).get("groups"), dict)
    wrong = "--category" if suite and category else "--variant" if not suite and variant else None
    if wrong:
        what = "a suite: --variant chooses" if suite else "a main config: --category chooses"
        raise UserError(f"{name.file}: {wrong} does not apply to {what} a part of it")
    part = category or variant or name.part
    return Name(file=name.file, part=part, scale=scale or name.scale)


def open_named(name: Name, overrides: Iterable[tuple[str, Any]] = ()) -> Resolved:
    """The config of that name, resolved, with overrides from the command line on top.

    A suite without a variant is what all its variants start from. Raises UserError.
    """
    extra, kinds = Layer(SET, dict(overrides)), known_kinds()
    if not isinstance(read_json(name.file).get("groups"), dict):
        return resolve([*_main_layers(name), extra], kinds)
    files = load_suite(name.file, name.scale, kinds)
    if name.part is None:
        return resolve([*base_layers(files), extra], kinds)
    found = _variant(files, name.part)
    merged = resolve([Layer(name.part, plain(found.config)), extra], kinds)
    origins = {
        path: SET if source == SET else found.provenance.get(path, source)
        for path, source in merged.provenance.items()
    }
    return Resolved(merged.config, origins)


def _main_layers(name: Name) -> list[Layer]:
    if name.scale is not None:
        raise UserError(f"{name.file}: is no suite, so it has no scale '{name.scale}'")
    sections, categories = load_main(name.file, known_kinds())
    layers = [Layer(str(name.file), sections)]
    if name.part is not None:
        category = category_named(name.part, categories, name.file)
        layers.append(Layer(f"{name.file} categories.{name.part}", category.overrides))
    return layers


def category_named(category: str, valid: dict[str, CategorySpec], file: Path) -> CategorySpec:
    """The category of that name. Raises UserError with those that there are."""
    if category not in valid:
        hint = nearest(category, valid, cutoff=0.6)
        raise UserError(f"{file}: categories: unknown category '{category}'; {hint}")
    return valid[category]


def _variant(files: SuiteFiles, part: str) -> Resolved:
    """One variant, by its name alone where only one group has it."""
    group, slash, variant = part.rpartition("/")
    rows = expand(files, [group] if slash else [], [variant])
    chosen = [row for row in rows if row.name == variant]
    if len(chosen) > 1:
        places = ", ".join(f"{row.group}/{variant}" for row in chosen)
        raise UserError(f"{files.source}: more than one group has a variant '{variant}': {places}")
    return Resolved(chosen[0].config, chosen[0].provenance)


def plain(config: Config) -> dict[str, Any]:
    """A config as JSON has it."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def parse_override(text: str) -> tuple[str, Any]:
    """`PATH=JSON` taken apart; what is no JSON is a word."""
    path, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{SET} {text}: must be PATH=JSON, for example video.max_frames=1024")
    try:
        return path, json.loads(value)
    except (ValueError, RecursionError):
        return path, value
