"""Immutable snapshot of a deployment, taken by a thread of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.ledger.stats import HeldGpus, LedgerStats

HealthCheck = Callable[[], None]
"""Check that returns where something answers; raises InfrastructureError or OSError where not."""


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """Predicted over measured peak memory of ended trainings on one kind of device."""

    median: float
    least: float
    """Minimum; below 1, a run took more than was predicted."""
    count: int


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """Devices of one kind; each device is in exactly one of these states."""

    held: float = 0.0
    idle: float = 0.0
    drained: float = 0.0
    """Free devices on drained nodes."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """State of a deployment at one time."""

    taken_at: float
    """Time by the monotonic clock of the process."""
    troubles: Mapping[str, str] = field(default_factory=dict)
    """Error of each check by name; empty where it answered."""
    figures: LedgerStats | None = None
    """Statistics of the ledger; None where the database did not answer."""
    gpus: Mapping[str, Gpus] = field(default_factory=dict)
    """Devices by kind."""
    ratios: Mapping[str, Ratio] = field(default_factory=dict)
    """Ratios by kind; kinds without a measured training are missing."""

    @property
    def ready(self) -> bool:
        """True if every check answered."""
        return bool(self.troubles) and not any(self.troubles.values())


def asked(asks: Mapping[str, HealthCheck]) -> dict[str, str]:
    """Return the error of each check; empty where it answered."""
    return {name: _trouble(ask) for name, ask in asks.items()}


def _trouble(ask: HealthCheck) -> str:
    try:
        ask()
    except (InfrastructureError, OSError) as error:
        return str(error) or type(error).__name__
    return ""


def gpus_of(
    nodes: Sequence[Node], held: Sequence[HeldGpus], drained: frozenset[str]
) -> dict[str, Gpus]:
    """Return the present devices by kind; those of active attempts count as held on any node."""
    there = [node for node in nodes if node.ready_hours == 0]
    on_node: dict[str, float] = {}
    taken: dict[str, float] = {}
    for row in held:
        taken[row.profile] = taken.get(row.profile, 0.0) + row.gpus
        for node in row.nodes:
            on_node[node] = on_node.get(node, 0.0) + row.gpus / len(row.nodes)
    found: dict[str, Gpus] = {}
    for profile in sorted({node.profile for node in there} | set(taken)):
        mine = [node for node in there if node.profile == profile]
        total = sum(node.gpus for node in mine)
        shut = sum(
            max(0.0, node.gpus - on_node.get(node.name, 0.0))
            for node in mine
            if node.name in drained
        )
        busy = taken.get(profile, 0.0)
        idle = max(0.0, total - busy - shut)
        found[profile] = Gpus(held=busy, idle=idle, drained=shut)
    return found
