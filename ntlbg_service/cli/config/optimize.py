"""`ntlbg config optimize`: what the fit makes of a config on one kind of GPU."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_gpu
from ntlbg_service.cli.config.shipped import MAIN, shipped_main
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.cli.param_types import FILE

if TYPE_CHECKING:
    from ntlbg_service.cli.config.named import Name
    from ntlbg_service.domain.fitting.optimisation import Optimisation, Suggestion


@click.command()
@click.option(
    "--config",
    "name",
    metavar="FILE[:PART]",
    default=shipped_main,
    show_default=MAIN,
    help="A main config or a suite, and a category or variant of it.",
)
@click.option(
    "--gpu",
    required=True,
    shell_complete=complete_gpu,
    help="GPU kind, for example V100_32GB or A100-40GB.",
)
@click.option("--category", help="A category of the main config.")
@click.option("--output", type=FILE, help="Write the config with these settings to a file.")
@click.option("--force", is_flag=True, help="Replace the output file where there is one.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    name: str,
    gpu: str,
    category: str | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Choose the execution settings of a config on a GPU kind, with a reason for each.

    Predicted in closed form for one node of 8 GPUs, 96 cores and 768 GiB. What is learned stays:
    a change that belongs to the variant is suggested, never made. Exit code 3 where nothing fits.
    """
    from ntlbg_service.cli.config.main_file import main_file
    from ntlbg_service.cli.config.named import open_named, parse_name, refine
    from ntlbg_service.cli.config.writing import check_output, write_config
    from ntlbg_service.cli.plan_words import number
    from ntlbg_service.domain.errors import CapacityError
    from ntlbg_service.domain.fitting.analysis import NODE
    from ntlbg_service.domain.fitting.fit import Misfit
    from ntlbg_service.domain.fitting.optimisation import optimise
    from ntlbg_service.domain.hardware.profiles import profile_named

    if output is not None:
        check_output(output, force=force)
    source = refine(parse_name(name), category=category)
    config = open_named(source).config
    found = optimise(config, profile_named(gpu, "--gpu", known_kinds()), NODE)
    if as_json:
        click.echo(json.dumps(_record(source, found), indent=1))
    if isinstance(found.found, Misfit):
        would = [_words(suggestion) for suggestion in found.suggestions]
        more = f"; it would fit with {', or with '.join(would)}" if would else ""
        raise CapacityError(
            f"{source}: fits no {found.profile.name}: {found.found.reason} "
            f"(as it stands: {number(found.before_gib)} GiB){more}"
        )
    if not as_json:
        _print(source, found)
    if output is not None:
        write_config(main_file(source, config, found.found, output.stem), output)
        click.echo(f"written: {output}", err=as_json)


def _print(source: "Name", found: "Optimisation") -> None:
    from rich.table import Table

    from ntlbg_service.cli.console import new_console
    from ntlbg_service.cli.plan_words import number
    from ntlbg_service.domain.fitting.fit import Fit

    assert isinstance(found.found, Fit)
    console = new_console()
    console.print(f"{source!s} on {found.profile.name}", highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("setting", "before", "after", "why"):
        table.add_column(heading, overflow="fold")
    for row in found.settings:
        table.add_row(row.name, _value(row.before), _value(row.after), row.reason)
    table.add_row(
        "predicted peak",
        f"{number(found.before_gib)} GiB",
        f"{found.found.predicted_gib:.1f} GiB",
        f"limit {found.found.limit_gib:.1f} GiB, by the closed form",
    )
    console.print(table, highlight=False)
    click.echo("before: the global batch in one piece, attention as torch takes it, no DeepSpeed")
    if found.found.unsupported:
        click.echo(f"not built yet: {found.found.unsupported}")
    if found.suggestions:
        click.echo("not applied, because it changes what is learned:")
    for suggestion in found.suggestions:
        click.echo(f"  {_words(suggestion)}")


def _value(value: object) -> str:
    words = {None: "-", True: "yes", False: "no"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _words(suggestion: "Suggestion") -> str:
    """'model.tuning lora (1 x 32 x 1, 28.0 of 38.2 GiB, 776 GPU-hours)'."""
    from ntlbg_service.cli.plan_words import batch, number, settings

    found = suggestion.found
    options = ", ".join(f"{option} {value}" for option, value in suggestion.options.items())
    missing = ", not built yet" if suggestion.unsupported else ""
    return (
        f"{options} (batch {batch(found)}, {settings(found)}, {found.predicted_gib:.1f} of "
        f"{found.limit_gib:.1f} GiB, {number(found.gpu_hours)} GPU-hours{missing})"
    )


def _record(source: "Name", found: "Optimisation") -> dict[str, object]:
    from dataclasses import asdict

    from ntlbg_service.domain.fitting.fit import Fit

    fits = isinstance(found.found, Fit)
    return {
        "config": str(source),
        "gpu": found.profile.name,
        "fits": fits,
        "predicted_gib_before": round(found.before_gib, 3),
        ("fit" if fits else "misfit"): asdict(found.found),
        "settings": [asdict(row) for row in found.settings],
        "suggestions": [asdict(suggestion) for suggestion in found.suggestions],
    }
