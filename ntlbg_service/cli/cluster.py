"""`ntlbg cluster`: the nodes and GPUs that are there, and what runs on them measured."""

import json
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_drained, complete_node
from ntlbg_service.cli.gpus import gpus
from ntlbg_service.cli.label import label
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def command() -> None:
    """The GPUs that a plan counts on, and what is known of them."""


command.add_command(gpus)
command.add_command(label)


@command.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--reason", default="", help="Why, in a few words; kept with the drain.")
@click.option("--inventory", type=FILE, help="The nodes that there are, instead of what is found.")
@workspace_options
def drain(node: str, reason: str, inventory: "Path | None", workspace: Workspace) -> None:
    """Start nothing new on NODE; what runs there goes on to its end."""
    from ntlbg_service.cli.acting import actor
    from ntlbg_service.cli.inventory_choice import choose_inventory
    from ntlbg_service.cli.options import open_ledger
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.process.wakeup import notify

    names = [found.name for found in choose_inventory(inventory, None, thorough=False).nodes()]
    if node not in names:
        raise UserError(f"cluster drain: unknown node '{node}'; {nearest(node, names)}")
    ledger = open_ledger(workspace)
    fresh = ledger.drain(node, actor(), reason)
    left = sum(node in attempt.nodes for attempt in ledger.active_attempts())
    notify(workspace.wake)
    still = f"{left} run{'s' * (left > 1)} there to end" if left else "nothing runs there"
    click.echo(f"{node}: {'drained' if fresh else 'was drained already'}; {still}")


@command.command()
@click.argument("node", shell_complete=complete_drained)
@workspace_options
def undrain(node: str, workspace: Workspace) -> None:
    """Let runs start on NODE again."""
    from ntlbg_service.cli.acting import actor
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.process.wakeup import notify

    ledger = existing_ledger(workspace)
    if not ledger.undrain(node, actor()):
        known = list(ledger.drained())
        hint = nearest(node, known) if known else "no node is"
        raise UserError(f"cluster undrain: '{node}' is not drained; {hint}")
    notify(workspace.wake)
    click.echo(f"{node}: runs may start there again")


@command.command()
@workspace_options
def drained(workspace: Workspace) -> None:
    """List drained nodes: since when, by whom and why."""
    import time

    from ntlbg_service.cli.targets import existing_ledger

    for row in existing_ledger(workspace).drained().values():
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.since))
        why = f": {row.reason}" if row.reason else ""
        click.echo(f"{row.node}  since {since}, by {row.who}{why}")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every shape of run.")
@workspace_options
def calibration(as_json: bool, workspace: Workspace) -> None:
    """Compare predicted with measured memory, by kind of device and shape of run.

    Measured are ended trainings of HOME. Plans count what moves within a step as many times as the
    last line of each kind says: a peak above its prediction counts in full, peaks below it count
    little, and only after several shapes.
    """
    from dataclasses import asdict

    from ntlbg_service.cli.calibration_table import shape_rows, table_of
    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.domain.fitting.calibration import calibrate, said
    from ntlbg_service.results.peak_memory import read_home

    home = read_home(workspace)
    if as_json:
        found = {
            profile: asdict(calibrate(peaks)) | {"by_shape": shape_rows(peaks)}
            for profile, peaks in home.items()
        }
        click.echo(json.dumps(found, indent=1))
        return
    console = DataConsole()
    for profile, peaks in home.items():
        console.print(table_of(profile, peaks))
        console.print(said(profile, calibrate(peaks)), highlight=False, soft_wrap=True)
    if not home:
        click.echo(f"No training in {workspace.home} has ended yet: predictions stay as they are.")
