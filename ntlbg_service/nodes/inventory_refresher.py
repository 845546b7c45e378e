"""The nodes of a cluster, read anew every so often: one that came is used, one that went is not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.inventory import Inventory

EVERY_SECONDS = 30.0
"""How old what was read may become."""


class NodeSnapshot(NamedTuple):
    """What was read."""

    inventory: Inventory
    ray_ids: Mapping[str, str]
    """Ray's id of every node by its name."""


@dataclass
class InventoryRefresher:
    """Reads the nodes when what was read is old or in doubt."""

    read: Callable[[], NodeSnapshot]
    """Raises InfrastructureError where the cluster does not answer."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    every: float = EVERY_SECONDS
    _read_at: float | None = field(default=None, init=False)

    def newer(self) -> NodeSnapshot | None:
        """The nodes as they are; None while what was read last still counts, or where the cluster
        does not answer."""
        now = self.clock()
        if self._read_at is not None and now - self._read_at < self.every:
            return None
        self._read_at = now
        try:
            return self.read()
        except InfrastructureError:
            return None  # Whatever asks it for more says so.

    def invalidate(self) -> None:
        """Have them read anew at the next look."""
        self._read_at = None


def changed(before: set[str], after: set[str]) -> str:
    """Which nodes came and went, in words; empty where none did."""
    came = [f"{name} came" for name in sorted(after - before)]
    went = [f"{name} went" for name in sorted(before - after)]
    return ", ".join(came + went)
