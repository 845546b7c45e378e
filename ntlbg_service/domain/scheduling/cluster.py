"""What the scheduler decides about: jobs with their fits, nodes, and what runs on them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Node


class Cap(NamedTuple):
    """A number of GPUs that all runs which share it may hold at once, together."""

    whose: str
    """In words: `user ann`, `suite ablations`."""
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as the scheduler sees it."""

    run_id: str
    fits: tuple[Fit, ...]
    """Where it can run; at least one."""
    group: str = ""
    """What it is compared with."""
    priority: int = 0
    """Higher ones are placed first, and none of the lower ones delays them; `turn.py` says how
    long one that waits stays behind."""
    submitted: float = 0.0
    """Hours, on any clock that all jobs share. Those of one suite that were submitted together
    have the same."""
    suite: str = ""
    """What it was submitted with."""
    caps: tuple[Cap, ...] = ()
    """Those that it counts against."""
    excluded: frozenset[str] = frozenset()
    """Names of nodes that it is kept off: they lost it before."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A decision: this run, with this fit, on these nodes."""

    run_id: str
    fit: Fit
    nodes: tuple[str, ...] = ()
    """Names; empty where what runs was started without noting them."""
    device: int | None = None
    """Which of the node's shared GPUs, where the fit asks for a part of one."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """What holds devices now."""

    placement: Placement
    hours: float
    """Predicted to be left."""
    caps: tuple[Cap, ...] = ()
    """Those that it counts against."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Nodes, and what runs on them."""

    nodes: tuple[Node, ...]
    running: tuple[Running, ...] = ()
    drained: frozenset[str] = frozenset()
    """Names of nodes where what runs may end and nothing new starts."""

    def capacity(self) -> dict[str, int]:
        """Devices by profile, where something new may start."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if node.name not in self.drained:
                counts[node.profile] = counts.get(node.profile, 0) + node.gpus
        return counts

    def held(self) -> tuple[Running, ...]:
        """What runs on nodes where something new may start, or may do so."""
        return tuple(
            row for row in self.running if not self.drained.intersection(row.placement.nodes)
        )


@dataclass(frozen=True, kw_only=True)
class HoursInterval:
    """When a run is planned to be where, in hours from now."""

    placement: Placement
    start: float
    end: float


def makespan(intervals: Iterable[HoursInterval]) -> float:
    """Hours until the last run ends."""
    return max((interval.end for interval in intervals), default=0.0)
