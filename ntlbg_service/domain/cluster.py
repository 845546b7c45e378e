"""What the scheduler decides about: jobs with their fits, nodes, and what runs on them."""

from collections.abc import Iterable
from dataclasses import dataclass

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.inventory import Node


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as the scheduler sees it."""

    run_id: str
    fits: tuple[Fit, ...]
    """Where it can run; at least one."""
    group: str = ""
    """What it is compared with."""
    priority: int = 0
    """Higher ones are placed first, and none of the lower ones delays them."""
    excluded: frozenset[str] = frozenset()
    """Names of nodes that it is kept off: they lost it before."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A decision: this run, with this fit, on these nodes."""

    run_id: str
    fit: Fit
    nodes: tuple[str, ...] = ()
    """Names; empty where what runs was started without noting them."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What holds devices now."""

    placement: Placement
    hours: float
    """Predicted to be left."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes, and what runs on them."""

    nodes: tuple[Node, ...]
    running: tuple[Running, ...] = ()

    def capacity(self) -> dict[str, int]:
        """Devices by profile."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            counts[node.profile] = counts.get(node.profile, 0) + node.gpus
        return counts


@dataclass(frozen=True, kw_only=True)
class Interval:
    """When a run is planned to be where, in hours from now."""

    placement: Placement
    start: float
    end: float


def makespan(intervals: Iterable[Interval]) -> float:
    """Hours until the last run ends."""
    return max((interval.end for interval in intervals), default=0.0)
