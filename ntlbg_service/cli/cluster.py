"""`ntlbg cluster`: the nodes and GPUs that are there, and what runs on them measured."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.workspace import Workspace

if TYPE_CHECKING:
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
