"""The nodes and GPUs that a command counts on."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ntlbg_service.cli.param_types import FILE

if TYPE_CHECKING:
    from ntlbg_service.controller.oom_fallback import ClusterView
    from ntlbg_service.domain.fitting.estimates import Estimates
    from ntlbg_service.domain.hardware.inventory import Inventory
    from ntlbg_service.domain.hardware.profile import Profile

Command = TypeVar("Command", bound=Callable[..., Any])


def known_kinds() -> "tuple[Profile, ...]":
    """GPU kinds beside those built in: the files that NTLBG_PROFILES names."""
    from ntlbg_service.config_files.loader import load_kinds

    return load_kinds(os.environ)


def autoscaler_option(command: Command) -> Command:
    """`--autoscaler`, a file."""
    return click.option(
        "--autoscaler",
        type=FILE,
        envvar="NTLBG_AUTOSCALER",
        help="Count on the nodes that an autoscaler may add: Ray's cluster YAML, or a RayCluster, "
        "RayJob or RayService of KubeRay.",
    )(command)


def grown(inventory: "Inventory", autoscaler: Path | None) -> "Inventory":
    """An inventory with what an autoscaler's file lets it add."""
    from ntlbg_service.domain.hardware.growth import with_node_types
    from ntlbg_service.nodes.node_types import load_node_types

    if autoscaler is None:
        return inventory
    return with_node_types(inventory, load_node_types(autoscaler, inventory.kinds))


def choose_inventory(
    file: Path | None, slots: int | None, *, hopeful: bool = False, thorough: bool = True
) -> "Inventory":
    """An inventory file, else what is there now; NTLBG_PROFILES names further GPU kinds.

    `hopeful`: kinds of which no GPU can be used now are there too, for much later. Not `thorough`:
    names of nodes will do, and a cluster's GPUs are as Ray's dashboard knows them.
    """
    ground = choose_ground(file, slots, hopeful=hopeful, thorough=thorough, holds=False)
    return ground.inventory


def choose_ground(
    file: Path | None,
    slots: int | None,
    estimates: "Estimates | None" = None,
    executor: str | None = None,
    *,
    hopeful: bool = False,
    thorough: bool = True,
    holds: bool = True,
) -> "ClusterView":
    """The nodes of an inventory file, else those there now for an executor: read anew, where they
    are a cluster's. `holds`: GPUs that cannot be used are kept from runs. The other options are
    those of `choose_inventory`."""
    from ntlbg_service.config_files.loader import load_inventory
    from ntlbg_service.controller.oom_fallback import ClusterView
    from ntlbg_service.domain.fitting.estimates import CLOSED_FORM
    from ntlbg_service.executors.choice import chosen
    from ntlbg_service.executors.job_client import JobClient
    from ntlbg_service.nodes.inventory import inventory_of, ray_ids_of, read_nodes
    from ntlbg_service.nodes.inventory_refresher import InventoryRefresher, NodeSnapshot
    from ntlbg_service.nodes.readings import NodeReadings

    kinds = known_kinds()
    estimates = estimates or CLOSED_FORM
    if file:
        return ClusterView(inventory=load_inventory(file, kinds), estimates=estimates)
    on_cluster = chosen(os.environ, executor) != "local"
    environment = os.environ if on_cluster else {}
    client = JobClient(os.environ.get("RAY_ADDRESS", "")) if on_cluster else None
    readings = NodeReadings(client, os.environ, holds=holds) if client and thorough else None

    def read() -> NodeSnapshot:
        nodes = read_nodes(environment, client, readings)
        if readings is not None:
            readings.keep_off({str(node.ray_id): node.quarantined(kinds) for node in nodes})
        return NodeSnapshot(inventory_of(nodes, slots, kinds, hopeful), ray_ids_of(nodes, kinds))

    first = read()
    if holds and not on_cluster:
        _hide_unusable(kinds)
    if readings is not None and readings.unheld:
        readings.read()
    survey = InventoryRefresher(read, time.monotonic) if on_cluster else None
    return ClusterView(
        inventory=first.inventory, estimates=estimates, ray_ids=first.ray_ids, survey=survey
    )


def _hide_unusable(kinds: "Sequence[Profile]") -> None:
    """Let runs of this machine, each with a Ray of its own, see only GPUs that can be used."""
    from ntlbg_service.nodes.inventory import read_node

    left = read_node().left_for_runs(kinds)
    if left is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = left
