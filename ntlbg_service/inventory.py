"""Nodes and GPUs that are there now: NVML on every node, through Ray where a cluster is named."""

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.inventory import Inventory, NodeGroup
from ntlbg_service.domain.profiles import Profile, recognise

GIB = 1024**3


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


def read_node() -> dict[str, Any]:
    """This node, as plain values that a Ray task can return."""
    gpus, note = _read_gpus()
    node = Node(
        name=socket.gethostname(),
        cores=os.cpu_count() or 1,
        host_memory_gib=psutil.virtual_memory().total / GIB,
        gpus=gpus,
        note=note,
    )
    return asdict(node)


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


def read_nodes(environment: Mapping[str, str]) -> tuple[Node, ...]:
    """Every live node of the Ray cluster in RAY_ADDRESS, else this machine alone."""
    address = environment.get("RAY_ADDRESS")
    values = _through_ray(address) if address else [read_node()]
    return tuple(
        Node(**{**value, "gpus": tuple(Gpu(**gpu) for gpu in value["gpus"])}) for value in values
    )


def _through_ray(address: str) -> list[dict[str, Any]]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InfrastructureError(f"RAY_ADDRESS {address}: {str(error).splitlines()[0]}") from None
    try:
        task = ray.remote(num_cpus=0)(read_node)
        alive = [node for node in ray.nodes() if node["Alive"]]
        found = ray.get(
            [
                task.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                ).remote()
                for node in alive
            ]
        )
        # Ray hands out its own count of cores, which a container's quota makes smaller.
        return [
            {**value, "cores": max(1, int(node["Resources"].get("CPU", 1)))}
            for value, node in zip(found, alive, strict=True)
        ]
    finally:
        ray.shutdown()


def inventory_of(
    nodes: Sequence[Node], slots: int | None = None, kinds: Sequence[Profile] = ()
) -> Inventory:
    """The inventory that a plan counts on. Without any GPU, CPU slots of the machines.

    `slots`: small runs at once on a CPU; by default one for every two cores. `kinds`: GPU kinds
    beside those built in.
    """
    found = []
    for node in nodes:
        names = [name for gpu in node.gpus if (name := gpu.planned_as(kinds))]
        found += [(kind, count, node) for kind, count in sorted(Counter(names).items())]
    if found:
        return Inventory(name="this cluster", groups=_alike(found), kinds=tuple(kinds))
    places = [("cpu", slots or max(1, node.cores // 2), node) for node in nodes]
    return Inventory(name="this machine", groups=_alike(places), kinds=tuple(kinds))


def _alike(found: Sequence[tuple[str, int, Node]]) -> tuple[NodeGroup, ...]:
    """Like nodes as one group, so that a gang may span them; their memory differs by megabytes,
    and the least counts."""
    groups: dict[tuple[str, int, int, int], list[Node]] = {}
    for kind, gpus, node in found:
        key = (kind, gpus, node.cores, round(node.host_memory_gib))
        groups.setdefault(key, []).append(node)
    return tuple(
        NodeGroup(
            profile=kind,
            gpus=gpus,
            nodes=len(members),
            cores=cores,
            host_memory_gib=min(node.host_memory_gib for node in members),
        )
        for (kind, gpus, cores, _), members in groups.items()
    )
