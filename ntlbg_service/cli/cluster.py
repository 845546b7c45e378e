"""`ntlbg cluster`: the nodes and GPUs that are there, and what runs on them measured."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completing import complete_drained, complete_node
from ntlbg_service.cli.options import FILE, workspace_options
from ntlbg_service.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from ntlbg_service.domain.profile import Profile
    from ntlbg_service.inventory import Node


@click.group()
def command() -> None:
    """The GPUs that a plan counts on, and what is known of them."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpus(as_json: bool) -> None:
    """List nodes and GPUs: NVML on this machine, or on every node of RAY_ADDRESS.

    A node's label ntlbg.io/profile says what its GPUs are planned as, whatever NVML says.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from ntlbg_service.inventory import inventory_of, read_nodes
    from ntlbg_service.loading import load_kinds

    kinds = load_kinds(os.environ)
    nodes = read_nodes(os.environ)
    if as_json:
        click.echo(json.dumps([asdict(node) for node in nodes], indent=1))
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading in (
        "node",
        "cores",
        "host GiB",
        "gpu",
        "product",
        "GiB used / total",
        "planned as",
    ):
        table.add_column(heading)
    for node in nodes:
        shape = (node.name, str(node.cores), f"{node.host_memory_gib:.0f}")
        for row in rows(node, kinds):
            table.add_row(*shape, *row)
    console.print(table)
    capacity = inventory_of(nodes, kinds=kinds).capacity()
    planned = ", ".join(f"{count} x {name}" for name, count in capacity.items())
    console.print(f"Plans count on {planned}.", highlight=False)


def rows(node: "Node", kinds: "Sequence[Profile]") -> "Iterator[tuple[str, str, str, str]]":
    """GPU, product, memory and what it is planned as."""
    from ntlbg_service.domain.labels import PROFILE

    label = node.labels.get(PROFILE)
    of_node = next(iter(node.kinds(kinds)), "no profile: not used") if label else None
    for gpu in node.gpus:
        memory = f"{gpu.used_gib:.1f} / {gpu.memory_gib:.1f}"
        planned = of_node or gpu.planned_as(kinds) or "no profile: not used"
        yield str(gpu.index), gpu.product, memory, planned
    if node.gpus:
        return
    if of_node is not None and node.devices:
        said = "simulated" if node.simulated else f"label {label}"
        yield f"{node.devices} in all", said, "-", of_node
    else:
        yield "-", f"none (NVML: {node.note or 'no GPU'})", "-", "cpu"


@command.command()
@click.argument("node", shell_complete=complete_node)
@click.option("--reason", default="", help="Why, in a few words; kept with the drain.")
@click.option("--inventory", type=FILE, help="The nodes that there are, instead of what is found.")
@workspace_options
def drain(node: str, reason: str, inventory: "Path | None", workspace: Workspace) -> None:
    """Start nothing new on NODE; what runs there goes on to its end."""
    import getpass

    from ntlbg_service.cli.options import choose_inventory, open_ledger
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.wake import poke

    names = [found.name for found in choose_inventory(inventory, None).nodes()]
    if node not in names:
        raise UserError(f"cluster drain: unknown node '{node}'; {nearest(node, names)}")
    ledger = open_ledger(workspace)
    fresh = ledger.drain(node, getpass.getuser(), reason)
    left = sum(node in attempt.nodes for attempt in ledger.active_attempts())
    poke(workspace.wake)
    still = f"{left} run{'s' * (left > 1)} there to end" if left else "nothing runs there"
    click.echo(f"{node}: {'drained' if fresh else 'was drained already'}; {still}")


@command.command()
@click.argument("node", shell_complete=complete_drained)
@workspace_options
def undrain(node: str, workspace: Workspace) -> None:
    """Let runs start on NODE again."""
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.domain.errors import UserError, nearest
    from ntlbg_service.wake import poke

    ledger = existing_ledger(workspace)
    if not ledger.undrain(node):
        known = list(ledger.drained())
        hint = nearest(node, known) if known else "no node is"
        raise UserError(f"cluster undrain: '{node}' is not drained; {hint}")
    poke(workspace.wake)
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

    from rich.console import Console

    from ntlbg_service.cli.calibration_table import shape_rows, table_of
    from ntlbg_service.domain.calibration import calibrate, said
    from ntlbg_service.measured import read_home

    home = read_home(workspace)
    if as_json:
        found = {
            profile: asdict(calibrate(peaks)) | {"by_shape": shape_rows(peaks)}
            for profile, peaks in home.items()
        }
        click.echo(json.dumps(found, indent=1))
        return
    console = Console()
    for profile, peaks in home.items():
        console.print(table_of(profile, peaks))
        console.print(said(profile, calibrate(peaks)), highlight=False, soft_wrap=True)
    if not home:
        click.echo(f"No training in {workspace.home} has ended yet: predictions stay as they are.")
