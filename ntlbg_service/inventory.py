"""Nodes and GPUs that are there now: of the Ray cluster where one is named, else this machine."""

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.inventory import Inventory, NodeGroup
from ntlbg_service.domain.labels import PROFILE, simulated
from ntlbg_service.domain.profiles import Profile, profile_named, recognise
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.ray_nodes import GIB, ray_nodes


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as NVML reports it."""

    index: int
    product: str
    memory_gib: float
    used_gib: float
    driver: str

    def planned_as(self, kinds: Sequence[Profile] = ()) -> str | None:
        """The kind it is planned as, built in or of `kinds`; None for a GPU that none describes."""
        found = recognise(self.product, self.memory_gib, kinds)
        return found.name if found else None


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

    def kinds(self, known: Sequence[Profile] = ()) -> dict[str, int]:
        """How many GPUs of which kind it has for runs; those that no kind describes are left out.

        The label says what all its GPUs are; without one NVML does. On a cluster no more count
        than Ray hands out, nor more than there are cores to go with them.
        """
        if PROFILE in self.labels:
            found = Counter(dict.fromkeys(self._labelled(known), self.devices))
        else:
            found = Counter(name for gpu in self.gpus if (name := gpu.planned_as(known)))
        if self.ray_id is None:
            return dict(found)
        most = min(self.devices, self.cores)
        held = {kind: min(count, most) for kind, count in found.items()}
        return {kind: count for kind, count in held.items() if count}

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
    gpus, note = _read_gpus()
    return Node(
        name=socket.gethostname(),
        cores=os.cpu_count() or 1,
        host_memory_gib=psutil.virtual_memory().total / GIB,
        gpus=gpus,
        note=note,
    )


def _read_gpus() -> tuple[tuple[Gpu, ...], str]:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), str(error)
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        return tuple(_gpu(i, driver) for i in range(pynvml.nvmlDeviceGetCount())), ""
    except pynvml.NVMLError as error:
        return (), str(error)
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int, driver: str) -> Gpu:
    import pynvml

    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        index=index,
        product=pynvml.nvmlDeviceGetName(handle),
        memory_gib=memory.total / GIB,
        used_gib=memory.used / GIB,
        driver=driver,
    )


def read_nodes(environment: Mapping[str, str], client: JobClient | None = None) -> tuple[Node, ...]:
    """Every live node of the Ray cluster in RAY_ADDRESS, else this machine alone. Raises
    InfrastructureError where the cluster does not answer.

    `client` is one that is connected to the cluster, for those who ask often.
    """
    address = environment.get("RAY_ADDRESS")
    if not address:
        return (read_node(),)
    return tuple(
        Node(**{**row, "gpus": tuple(Gpu(**gpu) for gpu in row["gpus"])})
        for row in ray_nodes(address, client)
    )


def inventory_of(
    nodes: Sequence[Node], slots: int | None = None, kinds: Sequence[Profile] = ()
) -> Inventory:
    """The inventory that a plan counts on. Without any GPU, CPU slots of the machines.

    `slots`: small runs at once on a CPU; by default one for every two cores. `kinds`: GPU kinds
    beside those built in.
    """
    found = [
        (_name(node, kind, kinds), kind, count, node)
        for node in nodes
        for kind, count in sorted(node.kinds(kinds).items())
        if kind != "cpu"
    ]
    if found:
        return Inventory(name="this cluster", groups=_alike(found), kinds=tuple(kinds))
    places = [(node.name, "cpu", _slots(node, slots), node) for node in _for_cpu(nodes)]
    return Inventory(name="this machine", groups=_alike(places), kinds=tuple(kinds))


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
