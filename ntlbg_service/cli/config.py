"""`ntlbg config`: show, schema, validate, analyze."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.analyze import command as analyze
from ntlbg_service.cli.options import FILE

if TYPE_CHECKING:
    from ntlbg_service.domain.resolve import Resolved


@click.group()
def command() -> None:
    """Look at configurations: every option, its value and where the value comes from."""


command.add_command(analyze, "analyze")


@command.command()
@click.argument("file", type=FILE)
@click.option("--category", help="A category of the file (moderate_long, long, very_long).")
@click.option("--scale", help="A scale, where the file is a suite.")
@click.option("--variant", help="A variant, where the file is a suite.")
@click.option("--set", "overrides", multiple=True, metavar="PATH=JSON", help="Override an option.")
@click.option("--json", "as_json", is_flag=True, help="Print the resolved config as JSON.")
def show(
    file: Path,
    category: str | None,
    scale: str | None,
    variant: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Resolve FILE (a main config or a suite) and print every option with its source."""
    from dataclasses import asdict

    from ntlbg_service.domain.resolve import leaves

    resolved = _resolve(file, category, scale, variant, overrides)
    if as_json:
        click.echo(json.dumps(asdict(resolved.config), indent=1))
        return
    values = leaves(resolved.config)
    width = max(map(len, values))
    for path, value in values.items():
        source = resolved.provenance[path]
        click.echo(f"{path:<{width}}  {json.dumps(value):<30}  {source}")


def _resolve(
    file: Path,
    category: str | None,
    scale: str | None,
    variant: str | None,
    overrides: tuple[str, ...],
) -> "Resolved":
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.resolve import Layer, Resolved, resolve
    from ntlbg_service.domain.suite import expand
    from ntlbg_service.loading import load_kinds, load_main, load_suite, read_json

    kinds = load_kinds(os.environ)
    extra = Layer("--set", dict(_override(text) for text in overrides))
    if "groups" in read_json(file):
        rows = expand(load_suite(file, scale, kinds), variants=[variant] if variant else [])
        row = next(row for row in rows if variant is None or row.name == variant)
        merged = resolve([Layer(row.group, _plain(row.config)), extra], kinds)
        sources = {
            path: "--set" if source == "--set" else row.provenance[path]
            for path, source in merged.provenance.items()
        }
        return Resolved(merged.config, sources)
    sections, categories = load_main(file, kinds)
    layers = [Layer(str(file), sections)]
    if category is not None:
        if category not in categories:
            valid = ", ".join(categories) or "none"
            raise UserError(f"{file}: categories: unknown category '{category}'; valid: {valid}")
        layers.append(Layer(f"{file} categories.{category}", categories[category].overrides))
    return resolve([*layers, extra], kinds)


def _plain(config: Any) -> dict[str, Any]:
    from dataclasses import asdict

    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def _override(text: str) -> tuple[str, Any]:
    from ntlbg_service.domain.errors import UserError

    path, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--set {text}: must be PATH=JSON, for example video.max_frames=1024")
    try:
        return path, json.loads(value)
    except json.JSONDecodeError:
        return path, value


@command.command()
@click.option(
    "--kind",
    type=click.Choice(["config", "suite", "sweep", "scale", "inventory", "profile"]),
    default="config",
    show_default=True,
)
def schema(kind: str) -> None:
    """Print the JSON schema, with the documentation of every option."""
    from ntlbg_model.config import Config
    from ntlbg_service.domain.inventory import Inventory
    from ntlbg_service.domain.profile import Profile
    from ntlbg_service.domain.resolve import json_schema
    from ntlbg_service.domain.suite import ScaleSpec, SuiteSpec
    from ntlbg_service.domain.sweep import SweepSpec

    kinds: dict[str, type] = {
        "config": Config,
        "suite": SuiteSpec,
        "sweep": SweepSpec,
        "scale": ScaleSpec,
        "inventory": Inventory,
        "profile": Profile,
    }
    click.echo(json.dumps(json_schema(kinds[kind]), indent=1))


@command.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
def validate(files: tuple[Path, ...]) -> None:
    """Check FILES: main configs, suites at every scale, sweeps, inventories, GPU kinds, scales."""
    for file in files:
        click.echo(f"{file}: {_validate(file)}")


def _validate(file: Path) -> str:
    from ntlbg_service.domain.profiles import including
    from ntlbg_service.domain.resolve import Layer, parse, resolve
    from ntlbg_service.domain.suite import ScaleSpec, expand
    from ntlbg_service.loading import (
        load_inventory,
        load_kind,
        load_kinds,
        load_main,
        load_suite,
        load_sweep,
        read_json,
    )

    values, kinds = read_json(file), load_kinds(os.environ)
    if "rates" in values or "capability" in values:
        kind = load_kind(file)
        including(kinds, kind, str(file))
        return f"GPU kind {kind.name}"
    if "space" in values:
        sweep = load_sweep(file)
        expand(load_suite(file.parent / sweep.suite, sweep.scale, kinds), variants=[sweep.variant])
        return f"sweep of {len(list(sweep.points()))} trials"
    if "groups" in values and isinstance(values["groups"], list):
        return f"inventory of {sum(load_inventory(file, kinds).capacity().values())} devices"
    if "groups" in values:
        suite = load_suite(file, kinds=kinds)
        rows = expand(suite)
        for scale in suite.suite.scales:
            expand(load_suite(file, scale, kinds))
        scales = f", scales {', '.join(suite.suite.scales)}" if suite.suite.scales else ""
        return f"suite of {len(rows)} variants x {len(suite.seeds)} seeds{scales}"
    if "overrides" in values:
        scale_spec = parse(ScaleSpec, values, str(file))
        resolve([Layer(str(file), scale_spec.overrides)], kinds)
        return "scale"
    _, categories = load_main(file, kinds)
    return f"main config, categories {', '.join(categories) or 'none'}"
