"""What there is to run on: groups of like nodes, there now or for an autoscaler to add."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

from ntlbg_model.config import STRICT
from ntlbg_service.domain.hardware.profiles import NodeShape, Profile, profile_named


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of one kind."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    profile: str
    """GPU kind, or 'cpu'."""
    gpus: int
    """GPUs a node; for 'cpu' the runs that may go on at once."""
    nodes: int = 1
    """Nodes there now."""
    cores: int = 8
    """CPU cores a node."""
    host_memory_gib: float = 64.0
    """Host memory a node."""
    name: str = ""
    """What its nodes are called: NAME-1, NAME-2 and so on. Empty: as the profile."""
    names: tuple[str, ...] = ()
    """What each of the nodes there now is called, in place of that. Empty, or one for each."""
    disk_gib: float | None = None
    """Local disk a node, where it is known."""
    network_gbits: float | None = None
    """Network of a node in 10^9 bits a second, where it is known."""
    max_nodes: int | None = None
    """How many nodes an autoscaler may bring this group to. null: it has none."""
    min_nodes: int = 0
    """Nodes that the autoscaler keeps when they have nothing to do."""
    start_minutes: float = 6.0
    """From the request for a node to the first run on it."""
    price_per_gpu_hour: float | None = None
    """What an hour of one GPU costs, node and all, in a currency of your own."""

    def __post_init__(self) -> None:
        for name in ("gpus", "cores"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        self._check_nodes()
        if self.names and len(self.names) != self.nodes:
            raise ValueError(f"names must be one for each of {self.nodes}, got {len(self.names)}")
        if self.host_memory_gib <= 0:
            raise ValueError(f"host_memory_gib must be above 0, got {self.host_memory_gib}")
        for name in ("disk_gib", "network_gbits", "start_minutes", "price_per_gpu_hour"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be at least 0, got {value}")

    def _check_nodes(self) -> None:
        least = 1 if self.max_nodes is None else 0
        if self.nodes < least:
            hint = " (max_nodes names what an autoscaler could add)" if self.nodes == 0 else ""
            raise ValueError(f"nodes must be at least {least}, got {self.nodes}{hint}")
        if self.max_nodes is None:
            if self.min_nodes:
                raise ValueError("min_nodes needs max_nodes: without it nothing is added")
            return
        if self.max_nodes < max(1, self.nodes):
            raise ValueError(
                f"max_nodes must be at least {max(1, self.nodes)}, got {self.max_nodes}"
            )
        if not 0 <= self.min_nodes <= self.max_nodes:
            raise ValueError(
                f"min_nodes must be between 0 and max_nodes {self.max_nodes}, got {self.min_nodes}"
            )

    @property
    def most(self) -> int:
        """Nodes with all that an autoscaler may add."""
        return self.nodes if self.max_nodes is None else self.max_nodes

    @property
    def shape(self) -> NodeShape:
        """What one node offers beside GPUs."""
        return NodeShape(
            cores=self.cores,
            host_memory_gib=self.host_memory_gib,
            gpus=self.gpus,
            network_gbits=self.network_gbits,
        )


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Nodes and GPUs that a plan counts on."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    groups: tuple[NodeGroup, ...]
    """Kinds of node; at least one."""
    description: str = ""
    """What the inventory is of."""
    profiles: tuple[str, ...] = ()
    """Files that describe further GPU kinds, relative to this file."""
    kinds: tuple[Profile, ...] = ()
    """Further GPU kinds, described in place."""

    def __post_init__(self) -> None:
        if not self.groups:
            raise ValueError("groups must name at least one kind of node")
        said = Counter(name for group in self.groups for name in group.names)
        for name, times in said.items():
            if times > 1:
                raise ValueError(f"names must differ, got '{name}' {times} times")

    def profile_of(self, group: NodeGroup) -> Profile:
        """The kind of a group's GPUs. Raises UserError with the nearest known name."""
        return profile_named(group.profile, self.name, self.kinds)

    def capacity(self) -> dict[str, int]:
        """Devices by profile, with all that an autoscaler may add."""
        counts: dict[str, int] = {}
        for group in self.groups:
            name = self.profile_of(group).name
            counts[name] = counts.get(name, 0) + group.gpus * group.most
        return counts

    def nodes(self) -> "tuple[Node, ...]":
        """Every node by name: those there now, then those an autoscaler may add."""
        named: Counter[str] = Counter()
        found: list[Node] = []
        for index, group in enumerate(self.groups):
            profile = self.profile_of(group).name
            prefix = group.name or profile.lower()
            for number in range(group.most):
                named[prefix] += 1
                own = group.names[number : number + 1]
                found.append(
                    Node(
                        name=own[0] if own else f"{prefix}-{named[prefix]}",
                        group=index,
                        profile=profile,
                        gpus=group.gpus,
                        host_memory_gib=group.host_memory_gib,
                        ready_hours=0.0 if number < group.nodes else group.start_minutes / 60,
                        kept=group.max_nodes is None or number < group.min_nodes,
                    )
                )
        return tuple(sorted(found, key=lambda node: node.ready_hours))


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node as the scheduler sees it."""

    name: str
    group: int
    """Index of its group: a gang on several nodes wants nodes of one group."""
    profile: str
    gpus: int
    host_memory_gib: float = float("inf")
    ready_hours: float = 0.0
    """From a request to readiness, for a node that an autoscaler has yet to add; 0 for one that
    is there."""
    kept: bool = True
    """It stays up with nothing to do: no autoscaler, or one that keeps so many."""
