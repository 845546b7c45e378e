"""An inventory with what an autoscaler may add to it."""

from collections.abc import Sequence
from dataclasses import replace

from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup


def with_node_types(inventory: Inventory, types: Sequence[NodeGroup]) -> Inventory:
    """The nodes there are, each type growing to its limit.

    Nodes with the GPUs of a type are thought to be of it and count against its limit. CPUs that
    stand in where a cluster has no GPUs go: GPUs can be had.
    """
    groups = [group for group in inventory.groups if _kind(inventory, group) != "cpu"]
    counted: set[int] = set()
    for kind in types:
        alike = [
            index
            for index, group in enumerate(groups)
            if index not in counted and _same(inventory, group, kind)
        ]
        counted.update(alike)
        there = sum(groups[index].nodes for index in alike)
        more = kind.most - there
        if not alike and more > 0:
            groups.append(replace(kind, nodes=0, max_nodes=more))
            counted.add(len(groups) - 1)
        elif alike and more > 0:
            first = groups[alike[0]]
            groups[alike[0]] = replace(
                first,
                max_nodes=first.nodes + more,
                min_nodes=min(kind.min_nodes, first.nodes + more),
                start_minutes=kind.start_minutes,
                name=kind.name or first.name,
            )
    return replace(inventory, groups=tuple(groups) or inventory.groups)


def _same(inventory: Inventory, group: NodeGroup, kind: NodeGroup) -> bool:
    alike = _kind(inventory, group) == _kind(inventory, kind)
    return alike and group.gpus == kind.gpus and group.max_nodes is None


def _kind(inventory: Inventory, group: NodeGroup) -> str:
    return inventory.profile_of(group).name
