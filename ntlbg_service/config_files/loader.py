"""Loader of configs, suites, sweeps, inventories, GPU kinds and caps into domain objects."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ntlbg_service.config_files.json_files import is_file, near_file, read_json
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.hardware.profiles import Profile, including, profile_named
from ntlbg_service.domain.resolve import Layer, parse, resolve
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.suite import CategorySpec, ScaleSpec, SuiteFiles, SuiteSpec
from ntlbg_service.domain.sweep import SweepSpec

T = TypeVar("T")

NOT_SECTIONS = ("name", "description", "categories")
"""Keys of a main config that are not sections of Config."""

KINDS = "NTLBG_PROFILES"
"""Environment variable that names files of additional GPU kinds."""


def load_main(
    path: Path, kinds: Sequence[Profile] = ()
) -> tuple[dict[str, Any], dict[str, CategorySpec]]:
    """Return sections and categories of a main config, after validating every category.

    `kinds` are GPU kinds in addition to the built-in ones.
    """
    values = read_json(path)
    sections = {key: value for key, value in values.items() if key not in NOT_SECTIONS}
    raw = values.get("categories", {})
    if not isinstance(raw, dict):
        raise UserError(f"{path}: categories: must be an object")
    categories = {
        name: _parse(CategorySpec, spec, f"{path}: categories.{name}") for name, spec in raw.items()
    }
    resolve([Layer(str(path), sections)], kinds)
    for name, category in categories.items():
        layer = Layer(f"{path} categories.{name}", category.overrides)
        resolve([Layer(str(path), sections), layer], kinds)
    return sections, categories


def _parse(kind: type[T], values: Any, source: str) -> T:
    if not isinstance(values, dict):
        raise UserError(f"{source}: must be an object, got {type(values).__name__}")
    return parse(kind, values, source)


def load_suite(path: Path, scale: str | None = None, kinds: Sequence[Profile] = ()) -> SuiteFiles:
    """Load a suite with its base config and the requested scale, by default the suite's own."""
    suite = _parse(SuiteSpec, read_json(path), str(path))
    base_path = path.parent / suite.config
    if not is_file(base_path):
        raise UserError(f"{path}: config: no such file {base_path}{near_file(base_path)}")
    base, categories = load_main(base_path, kinds)
    files = SuiteFiles(
        source=str(path),
        suite=suite,
        base_source=str(base_path),
        base=base,
        categories=categories,
        kinds=tuple(kinds),
    )
    scale = scale or suite.scale
    if scale is None:
        return files
    if scale not in suite.scales:
        known = ", ".join(suite.scales) or "none"
        raise UserError(f"{path}: scales: unknown scale '{scale}'; valid: {known}")
    scale_path = path.parent / suite.scales[scale]
    spec = _parse(ScaleSpec, read_json(scale_path), str(scale_path))
    return replace(files, scale=scale, scale_source=str(scale_path), scale_spec=spec)


def is_sweep(path: Path) -> bool:
    """Return True if a file describes a sweep, that is, has a search space."""
    return "space" in read_json(path)


def load_sweep(path: Path) -> SweepSpec:
    """Load a sweep file."""
    return _parse(SweepSpec, read_json(path), str(path))


def load_inventory(path: Path, kinds: Sequence[Profile] = ()) -> Inventory:
    """Load an inventory file; it may use `kinds`, those of its `profiles` files and its own."""
    inventory = _parse(Inventory, read_json(path), str(path))
    known = tuple(kinds)
    for index, kind in enumerate(inventory.kinds):
        known = including(known, kind, f"{path}: kinds.{index}")
    for index, name in enumerate(inventory.profiles):
        known = _with_kind(known, path.parent / name, f"{path}: profiles.{index}")
    inventory = replace(inventory, name=str(path), kinds=known)
    for index, group in enumerate(inventory.groups):
        profile_named(group.profile, f"{path}: groups.{index}.profile", known)
    return inventory


def load_caps(path: Path) -> Caps:
    """Load a caps file."""
    return _parse(Caps, read_json(path), str(path))


def load_kinds(values: Mapping[str, str]) -> tuple[Profile, ...]:
    """Load the GPU kinds of the files in NTLBG_PROFILES, which are separated as in PATH."""
    kinds: tuple[Profile, ...] = ()
    for name in filter(None, values.get(KINDS, "").split(os.pathsep)):
        kinds = _with_kind(kinds, Path(name), KINDS)
    return kinds


def _with_kind(kinds: tuple[Profile, ...], path: Path, source: str) -> tuple[Profile, ...]:
    if not is_file(path):
        raise UserError(f"{source}: no such file {path}{near_file(path)}")
    return including(kinds, load_kind(path), str(path))


def load_kind(path: Path) -> Profile:
    """Load a GPU kind from its file."""
    return _parse(Profile, read_json(path), str(path))
