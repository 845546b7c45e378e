"""A file of any kind, checked, with the configs that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ntlbg_model.config import Config
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.config_files.loader import (
    load_caps,
    load_inventory,
    load_kind,
    load_main,
    load_suite,
    load_sweep,
)
from ntlbg_service.domain.expansion import Variant, expand
from ntlbg_service.domain.hardware.profiles import Profile, including
from ntlbg_service.domain.resolve import Layer, parse, resolve
from ntlbg_service.domain.suite import ScaleSpec


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a file is, and what of it would run."""

    what: str
    """In a few words."""
    noun: str = ""
    """What its configs are called."""
    configs: Mapping[str, Config] = field(default_factory=dict)
    """By name; none for a file that describes no run."""


def check_file(file: Path) -> Checked:
    """Read a main config, a suite (at every scale), a sweep, a scale, an inventory, a GPU kind or
    caps.

    Raises UserError for the first thing that is wrong.
    """
    values, kinds = read_json(file), known_kinds()
    if "rates" in values or "capability" in values:
        kind = load_kind(file)
        including(kinds, kind, str(file))
        return Checked(what=f"GPU kind {kind.name}")
    if "users" in values or "suites" in values:
        load_caps(file)
        return Checked(what="caps")
    if "space" in values:
        return _sweep(file, kinds)
    if "groups" in values and isinstance(values["groups"], list):
        return Checked(
            what=f"inventory of {sum(load_inventory(file, kinds).capacity().values())} devices"
        )
    if "groups" in values:
        return _suite(file, kinds)
    if "overrides" in values:
        scale_spec = parse(ScaleSpec, values, str(file))
        resolve([Layer(str(file), scale_spec.overrides)], kinds)
        return Checked(what="scale")
    return _main(file, kinds)


def _sweep(file: Path, kinds: Sequence[Profile]) -> Checked:
    sweep = load_sweep(file)
    rows = expand(
        load_suite(file.parent / sweep.suite, sweep.scale, kinds), variants=[sweep.variant]
    )
    chosen = [row for row in rows if row.name == sweep.variant]
    what = f"sweep of {len(list(sweep.points()))} trials"
    return Checked(what=what, noun="variants", configs=_named(chosen))


def _suite(file: Path, kinds: Sequence[Profile]) -> Checked:
    suite = load_suite(file, kinds=kinds)
    rows = expand(suite)
    for scale in suite.suite.scales:
        expand(load_suite(file, scale, kinds))
    scales = f", scales {', '.join(suite.suite.scales)}" if suite.suite.scales else ""
    what = f"suite of {len(rows)} variants x {len(suite.seeds)} seeds{scales}"
    return Checked(what=what, noun="variants", configs=_named(rows))


def _named(rows: Sequence[Variant]) -> dict[str, Config]:
    """Configs by variant, with the group before it where two groups have one of that name."""
    names = [row.name for row in rows]
    return {
        row.name if names.count(row.name) == 1 else f"{row.group}/{row.name}": row.config
        for row in rows
    }


def _main(file: Path, kinds: Sequence[Profile]) -> Checked:
    sections, categories = load_main(file, kinds)
    base = Layer(str(file), sections)
    configs = {
        name: resolve([base, Layer(f"{file} categories.{name}", category.overrides)], kinds).config
        for name, category in categories.items()
    }
    return Checked(
        what=f"main config, categories {', '.join(categories) or 'none'}",
        noun="categories",
        configs=configs or {"it": resolve([base], kinds).config},
    )
