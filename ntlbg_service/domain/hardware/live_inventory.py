"""Nodes that are there as the groups that a plan counts on."""

from collections import Counter
from collections.abc import Collection, Sequence

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.gpu import Gpu
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.labels import PROFILE
from ntlbg_service.domain.hardware.live_node import LiveNode
from ntlbg_service.domain.hardware.profiles import Profile


def inventory_of(
    nodes: Sequence[LiveNode],
    slots: int | None = None,
    kinds: Sequence[Profile] = (),
    hopeful: bool = False,
) -> Inventory:
    """The inventory that a plan counts on. Without any GPU, CPU slots of the machines.

    `slots`: small runs at once on a CPU; by default one for every two cores. `kinds`: GPU kinds
    beside those built in. `hopeful`: where no GPU of a kind can be used now, one is there a day
    from now. Raises InfrastructureError where there are GPUs and none can be used.
    """
    found = [
        (_name(node, kind, kinds), kind, count, node)
        for node in nodes
        for kind, count in sorted(node.kinds(kinds).items())
        if kind != "cpu"
    ]
    quarantined = [(node, gpu) for node in nodes for gpu in node.offered if not gpu.health.usable]
    later = _later(quarantined, {kind for _, kind, _, _ in found}, kinds) if hopeful else ()
    if found or later:
        groups = (*_alike(found), *later)
        return Inventory(name="this cluster", groups=groups, kinds=tuple(kinds))
    if quarantined:
        words = "; ".join(
            f"{n.name} GPU {gpu.called}: {gpu.health.words}" for n, gpu in quarantined
        )
        raise InfrastructureError(
            f"no GPU can be used now: {words} (--inventory names other nodes)"
        )
    places = [(node.name, "cpu", _slots(node, slots), node) for node in _for_cpu(nodes)]
    return Inventory(name="this machine", groups=_alike(places), kinds=tuple(kinds))


def _later(
    quarantined: Sequence[tuple[LiveNode, Gpu]], usable: Collection[str], kinds: Sequence[Profile]
) -> tuple[NodeGroup, ...]:
    """For each kind of which no GPU can be used now, those of one node, a day from now."""
    counts: dict[str, Counter[str]] = {}
    shapes: dict[str, LiveNode] = {}
    for node, gpu in quarantined:
        kind = node.kind_of(gpu, kinds)
        if kind is not None and kind not in usable:
            counts.setdefault(kind, Counter())[node.name] += 1
            shapes.setdefault(kind, node)
    return tuple(
        NodeGroup(
            profile=kind,
            gpus=max(of_node.values()),
            nodes=0,
            max_nodes=len(of_node),
            cores=max(1, shapes[kind].cores),
            host_memory_gib=shapes[kind].host_memory_gib,
            name=f"{kind.lower()}-not-usable-now",
            start_minutes=24 * 60,
        )
        for kind, of_node in counts.items()
    )


def ray_ids_of(nodes: Sequence[LiveNode], kinds: Sequence[Profile] = ()) -> dict[str, str]:
    """Ray's id of every node by the name that the inventory gives it."""
    found: dict[str, str] = {}
    for node in nodes:
        if node.ray_id is None:
            continue
        names = {node.name, *(_name(node, kind, kinds) for kind in node.kinds(kinds))}
        found |= dict.fromkeys(names, node.ray_id)
    return found


def _name(node: LiveNode, kind: str, kinds: Sequence[Profile]) -> str:
    """A node with GPUs of several kinds is one node of each."""
    return node.name if len(node.kinds(kinds)) == 1 else f"{node.name}-{kind}"


def _for_cpu(nodes: Sequence[LiveNode]) -> list[LiveNode]:
    """Where nodes are labelled as those for runs on a CPU, only they; never one without cores."""
    able = [node for node in nodes if node.cores > 0] or list(nodes)
    return [node for node in able if node.labels.get(PROFILE) == "cpu"] or able


def _slots(node: LiveNode, slots: int | None) -> int:
    wanted = slots or max(1, node.cores // 2)
    return wanted if node.ray_id is None else max(1, min(wanted, node.cores))


def _alike(found: Sequence[tuple[str, str, int, LiveNode]]) -> tuple[NodeGroup, ...]:
    """Like nodes as one group, so that a gang may span them; their memory differs by megabytes,
    and the least counts."""
    groups: dict[tuple[str, int, int, int], list[tuple[str, LiveNode]]] = {}
    for name, kind, gpus, node in found:
        key = (kind, gpus, node.cores, round(node.host_memory_gib))
        groups.setdefault(key, []).append((name, node))
    return tuple(
        NodeGroup(
            profile=kind,
            gpus=gpus,
            nodes=len(members),
            cores=max(1, cores),
            host_memory_gib=min(node.host_memory_gib for _, node in members),
            names=tuple(name for name, node in members if node.ray_id is not None),
        )
        for (kind, gpus, cores, _), members in groups.items()
    )
