"""What the nodes of a plan cost: those an autoscaler adds, and those that have a price."""

from collections.abc import Iterable
from dataclasses import dataclass

from ntlbg_service.domain.hardware.inventory import Inventory, Node
from ntlbg_service.domain.scheduling.cluster import HoursInterval, makespan


@dataclass(frozen=True, kw_only=True)
class Rented:
    """One node that is up for some of a plan."""

    node: Node
    start: float
    """When it is asked for, hours from now."""
    end: float
    """When it is let go: after the last run on it, or at the end where it is kept."""
    price_per_gpu_hour: float | None

    @property
    def added(self) -> bool:
        """Whether an autoscaler has to add it."""
        return self.node.ready_hours > 0

    @property
    def cost(self) -> float | None:
        """What it costs from start to end; None without a price."""
        if self.price_per_gpu_hour is None:
            return None
        return (self.end - self.start) * self.node.gpus * self.price_per_gpu_hour


def rented(inventory: Inventory, intervals: Iterable[HoursInterval]) -> tuple[Rented, ...]:
    """The nodes that are up during a plan. An added one is asked for once, ahead of its first run,
    and stays up until its last has ended."""
    intervals = tuple(intervals)
    end = makespan(intervals)
    used: dict[str, tuple[float, float]] = {}
    for interval in intervals:
        for name in interval.placement.nodes:
            first, last = used.get(name, (interval.start, interval.end))
            used[name] = min(first, interval.start), max(last, interval.end)
    found = []
    for node in inventory.nodes():
        if not node.kept and node.ready_hours and node.name not in used:
            continue
        first, last = used.get(node.name, (0.0, 0.0))
        begins = 0.0 if node.kept or not node.ready_hours else first - node.ready_hours
        found.append(
            Rented(
                node=node,
                start=begins,
                end=end if node.kept else last,
                price_per_gpu_hour=inventory.groups[node.group].price_per_gpu_hour,
            )
        )
    return tuple(found)


def total_cost(nodes: Iterable[Rented]) -> float | None:
    """What they cost together; None where none has a price."""
    costs = [node.cost for node in nodes if node.cost is not None]
    return sum(costs) if costs else None
