"""`ntlbg config analyze`: the memory of every category on every kind of GPU."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.config.shipped import MAIN, shipped_main
from ntlbg_service.cli.inventory_choice import known_kinds
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_model.config import Config


@click.command()
@click.option(
    "--config",
    "file",
    type=FILE,
    default=shipped_main,
    show_default=MAIN,
    help="A main config.",
)
@click.option(
    "--trace",
    type=click.Choice(["near", "all"]),
    is_flag=False,
    flag_value="near",
    help="Trace whatever comes within 15 % of its limit, or all; seconds each, kept in the home.",
)
@click.option("--plot", type=FILE, help="Draw the peaks into a PNG, SVG or PDF file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(
    file: Path, trace: str | None, plot: Path | None, as_json: bool, workspace: Workspace
) -> None:
    """Say what every category of a main config needs on every GPU, and with which settings.

    Predicted in closed form for nodes of 8 GPUs, 96 cores and 768 GiB, with what runs of HOME
    measured. `~` as in `ntlbg plan`.
    Below the table: the published pairings, and the usual ways to train them.
    """
    from ntlbg_service.cli.config.analysis import analyse, to_json
    from ntlbg_service.cli.config.analysis_tables import print_analysis

    if plot is not None:
        _check_format(plot)
    found = analyse(_categories(file), workspace, trace, known_kinds())
    if as_json:
        click.echo(json.dumps({"config": str(file), **to_json(found)}, indent=1))
    else:
        print_analysis(str(file), found)
    if plot is not None:
        from ntlbg_service.report.memory_figure import draw_memory

        draw_memory(found.cells, plot)
        click.echo(f"drawn: {plot}", err=as_json)


def _check_format(plot: Path) -> None:
    from ntlbg_service.domain.errors import UserError

    if plot.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"--plot {plot}: must end in .png, .svg or .pdf")
    if not plot.absolute().parent.is_dir():
        raise UserError(f"--plot {plot}: there is no folder {plot.parent}")


def _categories(file: Path) -> "dict[str, Config]":
    from ntlbg_service.config_files.loader import load_main
    from ntlbg_service.domain.resolve import Layer, resolve

    kinds = known_kinds()
    sections, categories = load_main(file, kinds)
    base = Layer(str(file), sections)
    return {
        name: resolve([base, Layer(f"{file} categories.{name}", category.overrides)], kinds).config
        for name, category in categories.items()
    } or {"(all)": resolve([base], kinds).config}
