"""Periodic refresh of a cluster's nodes: new ones are used, and those that left are not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.inventory import Inventory

EVERY_SECONDS = 30.0
"""Maximum age of a snapshot."""


class NodeSnapshot(NamedTuple):
    """The nodes at one time."""

    inventory: Inventory
    ray_ids: Mapping[str, str]
    """Ray's id of every node by its name."""


@dataclass
class InventoryRefresher:
    """Refresher that reads the nodes when the last snapshot is old or invalidated."""

    read: Callable[[], NodeSnapshot]
    """Function that reads the nodes; raises InfrastructureError where that fails."""
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    every: float = EVERY_SECONDS
    _read_at: float | None = field(default=None, init=False)

    def newer(self) -> NodeSnapshot | None:
        """Return a new snapshot; None while the last one is valid, or where the read fails."""
        now = self.clock()
        if self._read_at is not None and now - self._read_at < self.every:
            return None
        self._read_at = now
        try:
            return self.read()
        except InfrastructureError:
            return None  # The next call to the cluster reports the error.

    def invalidate(self) -> None:
        """Have the nodes read again at the next call of `newer`."""
        self._read_at = None


def changed(before: set[str], after: set[str]) -> str:
    """Return which nodes joined and left, in words; empty where none did."""
    came = [f"{name} came" for name in sorted(after - before)]
    went = [f"{name} went" for name in sorted(before - after)]
    return ", ".join(came + went)
