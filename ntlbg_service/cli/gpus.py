"""`ntlbg cluster gpus`: every node and GPU there is, and what plans make of it."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.inventory_choice import autoscaler_option, known_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from ntlbg_service.domain.hardware.inventory import NodeGroup
    from ntlbg_service.nodes.inventory import LiveNode

WATCH_SECONDS = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Keep showing them as they are; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@autoscaler_option
def gpus(watch: bool, as_json: bool, autoscaler: Path | None) -> None:
    """List nodes and GPUs: NVML on this machine, or on every node of RAY_ADDRESS.

    A GPU that is sick, or whose memory others use, is shown with the reason and no plan counts on
    it. A node's label ntlbg.io/profile says what its GPUs are planned as, whatever NVML says.
    """
    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.cli.gpus_table import table_of
    from ntlbg_service.nodes.node_types import load_node_types

    if watch and as_json:
        raise click.UsageError("--watch and --json exclude each other")
    kinds = known_kinds()
    types = load_node_types(autoscaler, kinds) if autoscaler else ()
    read, trouble = _reader()
    nodes = read()
    if as_json:
        click.echo(json.dumps(_as_json(nodes, types), indent=1))
        return
    console = DataConsole()
    if watch:
        _watch(lambda: table_of(read(), kinds), console)
        return
    console.print(table_of(nodes, kinds))
    for line in _below(nodes, types, trouble()):
        console.print(line, highlight=False, soft_wrap=True)


def _reader() -> "tuple[Callable[[], tuple[LiveNode, ...]], Callable[[], str]]":
    """How to read the nodes as often as wanted, and why a cluster's own word is not had."""
    from ntlbg_service.executors.job_client import JobClient
    from ntlbg_service.nodes.inventory import read_nodes
    from ntlbg_service.nodes.readings import NodeReadings

    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return lambda: read_nodes({}), lambda: ""
    client = JobClient(address)
    readings = NodeReadings(client, os.environ)
    return lambda: read_nodes(os.environ, client, readings), lambda: readings.trouble


def _watch(table: "Callable[[], Table]", console: Any) -> None:
    from rich.live import Live

    try:
        with Live(table(), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(WATCH_SECONDS)
                live.update(table(), refresh=True)
    except KeyboardInterrupt:
        return


def _below(nodes: "Sequence[LiveNode]", types: "Sequence[NodeGroup]", trouble: str) -> list[str]:
    from ntlbg_service.domain.errors import InfrastructureError
    from ntlbg_service.domain.hardware.growth import with_node_types
    from ntlbg_service.nodes.inventory import inventory_of

    lines = [f"Not every node could be read: {trouble}"] if trouble else []
    lines += [f"{node.name}: {node.note}" for node in nodes if node.note]
    lines += [
        f"An autoscaler may keep up to {group.most} nodes '{group.name}' of {group.gpus} x "
        f"{group.profile}, {group.cores} cores, {group.host_memory_gib:.0f} GiB"
        for group in types
    ]
    try:
        inventory = with_node_types(inventory_of(nodes, kinds=known_kinds()), types)
    except InfrastructureError as error:
        return [*lines, f"Plans: {error}"]
    counted = ", ".join(f"{count} x {name}" for name, count in inventory.capacity().items())
    return [*lines, f"Plans count on {counted}."]


def _as_json(nodes: "Sequence[LiveNode]", types: "Sequence[NodeGroup]") -> dict[str, Any]:
    """Nodes with their GPUs, and node types; a key is added over time and none is renamed."""
    from dataclasses import asdict

    kinds = known_kinds()
    return {
        "nodes": [
            {
                **asdict(node),
                "simulated": node.simulated,
                "planned": node.kinds(kinds),
                "gpus": [
                    {
                        **asdict(gpu),
                        "usable": gpu.health.usable,
                        "sick": list(gpu.health.sick),
                        "busy": list(gpu.health.busy),
                        "use": node.use_of(gpu, kinds),
                    }
                    for gpu in node.gpus
                ],
            }
            for node in nodes
        ],
        "node_types": [asdict(group) for group in types],
    }
