"""Nodes and GPUs that are there now: of the Ray cluster where one is named, else this machine."""

import os
import socket
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.gpu import Gpu, offered
from ntlbg_service.domain.inventory import Inventory, NodeGroup
from ntlbg_service.domain.labels import PROFILE, simulated
from ntlbg_service.domain.profiles import Profile, profile_named
from ntlbg_service.domain.resolve import parse
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.node_readings import NodeReadings
from ntlbg_service.nvml import GIB, descendant_of, read_gpus
from ntlbg_service.ray_nodes import ray_nodes

DRIVER = "ntlbg_service.runner"
"""What the command line of each local run says."""
NO_KIND = "no kind: 'ntlbg config schema --kind profile' describes one"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node with its GPUs."""

    name: str
    cores: int
    host_memory_gib: float
    gpus: tuple[Gpu, ...]
    note: str = ""
    """Why no GPUs are listed, in NVML's words."""
    ray_id: str | None = None
    """Ray's id of the node, where Ray told of it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Ray's and the operator's labels."""
    devices: int = 0
    """GPUs that Ray hands out."""
    visible: tuple[str, ...] | None = None
    """CUDA_VISIBLE_DEVICES of what hands them out; None where it is not set or not known."""
    disk_gib: float | None = None
    """Free where temporary files go."""

    @property
    def offered(self) -> tuple[Gpu, ...]:
        """The GPUs that runs are given, whatever their health."""
        devices = len(self.gpus) if self.ray_id is None else self.devices
        return offered(self.gpus, devices, self.visible)

    def kinds(self, known: Sequence[Profile] = ()) -> dict[str, int]:
        """How many GPUs of which kind it has for runs. Left out are those that no kind describes,
        and those that are sick or that others use.

        The label says what all its GPUs are; without one NVML does. On a cluster no more count
        than Ray hands out, nor more than there are cores to go with them.
        """
        usable = [gpu for gpu in self.offered if gpu.health.usable]
        if PROFILE in self.labels:
            count = self.devices - (len(self.offered) - len(usable))
            found = Counter(dict.fromkeys(self._labelled(known), count))
        else:
            found = Counter(name for gpu in usable if (name := gpu.planned_as(known)))
        most = sum(found.values()) if self.ray_id is None else min(self.devices, self.cores)
        held = {kind: min(count, most) for kind, count in found.items()}
        return {kind: count for kind, count in held.items() if count > 0}

    def use_of(self, gpu: Gpu, known: Sequence[Profile] = ()) -> str:
        """What plans make of one of its GPUs: a kind, or why it is not used."""
        if not gpu.health.usable:
            return gpu.health.words
        if gpu not in self.offered:
            return "not handed out by Ray" if self.ray_id else "not in CUDA_VISIBLE_DEVICES"
        return (
            self.kind_of(gpu, known)
            or "no kind: 'ntlbg config schema --kind profile' describes one"
        )

    def kind_of(self, gpu: Gpu, known: Sequence[Profile] = ()) -> str | None:
        """The kind of one of its GPUs, by the label or by NVML; None for one that nobody knows."""
        if PROFILE in self.labels:
            return next(iter(self._labelled(known)), None)
        return gpu.planned_as(known)

    def _labelled(self, known: Sequence[Profile]) -> list[str]:
        with suppress(UserError):
            return [profile_named(self.labels[PROFILE], kinds=known).name]
        return []

    @property
    def simulated(self) -> bool:
        """Its GPUs are not there: what runs on them runs on the CPU."""
        return simulated(self.labels)


def read_node() -> Node:
    """This machine."""
    found = read_gpus(descendant_of(_is_driver))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return Node(
        name=socket.gethostname(),
        cores=os.cpu_count() or 1,
        host_memory_gib=psutil.virtual_memory().total / GIB,
        gpus=tuple(map(gpu_of, found.gpus)),
        note=found.note,
        visible=None if visible is None else tuple(filter(None, visible.split(","))),
        disk_gib=psutil.disk_usage(tempfile.gettempdir()).free / GIB,
    )


def _is_driver(process: psutil.Process) -> bool:
    """A run of a local executor: its own Ray and all workers are started by it."""
    return DRIVER in process.cmdline()


def gpu_of(row: Mapping[str, Any]) -> Gpu:
    """A GPU from the plain values of `nvml` or of Ray's dashboard."""
    return parse(Gpu, row, f"GPU {row.get('index')}")


def read_nodes(
    environment: Mapping[str, str],
    client: JobClient | None = None,
    readings: NodeReadings | None = None,
) -> tuple[Node, ...]:
    """Every live node of the Ray cluster in RAY_ADDRESS, else this machine alone. Raises
    InfrastructureError where the cluster does not answer.

    `client` is one that is connected to the cluster, for those who ask often. With `readings`,
    what the nodes themselves have said goes before what Ray's dashboard knows of their GPUs.
    """
    address = environment.get("RAY_ADDRESS")
    if not address:
        return (read_node(),)
    rows = ray_nodes(address, client)
    said = readings.newest([row["ray_id"] for row in rows]) if readings else {}
    return tuple(_joined(row, said.get(row["ray_id"])) for row in rows)


def _joined(row: Mapping[str, Any], said: Mapping[str, Any] | None) -> Node:
    """What Ray tells of a node, with the node's own word. Memory in use is the newer of the two,
    Ray's."""
    gpus = tuple(map(gpu_of, row["gpus"]))
    if said is None:
        return Node(**{**row, "gpus": gpus})
    used = {gpu.uuid: gpu.used_gib for gpu in gpus if gpu.uuid}
    own = (gpu_of(each) for each in said["gpus"])
    gpus = tuple(replace(gpu, used_gib=used.get(gpu.uuid, gpu.used_gib)) for gpu in own)
    visible = None if said["visible"] is None else tuple(said["visible"])
    return Node(**{**row, "gpus": gpus, "note": said["note"], "visible": visible})


def inventory_of(
    nodes: Sequence[Node],
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
    kept_off = [(node, gpu) for node in nodes for gpu in node.offered if not gpu.health.usable]
    later = _later(kept_off, {kind for _, kind, _, _ in found}, kinds) if hopeful else ()
    if found or later:
        groups = (*_alike(found), *later)
        return Inventory(name="this cluster", groups=groups, kinds=tuple(kinds))
    if kept_off:
        words = "; ".join(f"{n.name} GPU {gpu.called}: {gpu.health.words}" for n, gpu in kept_off)
        raise InfrastructureError(
            f"no GPU can be used now: {words} (--inventory names other nodes)"
        )
    places = [(node.name, "cpu", _slots(node, slots), node) for node in _for_cpu(nodes)]
    return Inventory(name="this machine", groups=_alike(places), kinds=tuple(kinds))


def _later(
    kept_off: Sequence[tuple[Node, Gpu]], usable: Collection[str], kinds: Sequence[Profile]
) -> tuple[NodeGroup, ...]:
    """For each kind of which no GPU can be used now, those of one node, a day from now."""
    counts: dict[str, Counter[str]] = {}
    shapes: dict[str, Node] = {}
    for node, gpu in kept_off:
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


def ray_ids_of(nodes: Sequence[Node], kinds: Sequence[Profile] = ()) -> dict[str, str]:
    """Ray's id of every node by the name that the inventory gives it."""
    found: dict[str, str] = {}
    for node in nodes:
        if node.ray_id is None:
            continue
        names = {node.name, *(_name(node, kind, kinds) for kind in node.kinds(kinds))}
        found |= dict.fromkeys(names, node.ray_id)
    return found


def _name(node: Node, kind: str, kinds: Sequence[Profile]) -> str:
    """A node with GPUs of several kinds is one node of each."""
    return node.name if len(node.kinds(kinds)) == 1 else f"{node.name}-{kind}"


def _for_cpu(nodes: Sequence[Node]) -> list[Node]:
    """Where nodes are labelled as those for runs on a CPU, only they; never one without cores."""
    able = [node for node in nodes if node.cores > 0] or list(nodes)
    return [node for node in able if node.labels.get(PROFILE) == "cpu"] or able


def _slots(node: Node, slots: int | None) -> int:
    wanted = slots or max(1, node.cores // 2)
    return wanted if node.ray_id is None else max(1, min(wanted, node.cores))


def _alike(found: Sequence[tuple[str, str, int, Node]]) -> tuple[NodeGroup, ...]:
    """Like nodes as one group, so that a gang may span them; their memory differs by megabytes,
    and the least counts."""
    groups: dict[tuple[str, int, int, int], list[tuple[str, Node]]] = {}
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
