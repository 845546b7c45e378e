"""Fallback settings after an out-of-memory error, limited to what the present nodes hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ntlbg_model.config import Config
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fallbacks import OomFallback, next_fit
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import DeviceOffer
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.scheduling.reservations import ReservationTable, request_of
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.nodes.inventory_refresher import InventoryRefresher, changed


@dataclass(kw_only=True)
class ClusterView:
    """View of the nodes on which runs may be placed."""

    inventory: Inventory
    estimates: Estimates = CLOSED_FORM
    ray_ids: Mapping[str, str] = field(default_factory=dict)
    """Ray's id of every node by its name; empty where the inventory does not come from Ray."""
    survey: InventoryRefresher | None = None
    """Refresher of the nodes; None for those of a file and of this machine, which do not change."""

    def look_again(self) -> str:
        """Refresh the nodes where possible; return the changes in words."""
        seen = self.survey.newer() if self.survey else None
        if seen is None:
            return ""
        before = {node.name for node in self.inventory.nodes()}
        self.inventory, self.ray_ids = seen
        return changed(before, {node.name for node in self.inventory.nodes()})

    def invalidate(self) -> None:
        """Have the nodes reread at the next refresh: a lost attempt may mean a lost node."""
        if self.survey is not None:
            self.survey.invalidate()

    def gone(self, names: tuple[str, ...]) -> list[str]:
        """Return the nodes among these that have left the Ray cluster."""
        return [name for name in names if name not in self.ray_ids] if self.ray_ids else []

    @property
    def host_gib(self) -> dict[str, float]:
        """Host memory of every node, in GiB."""
        return {node.name: node.host_memory_gib for node in self.inventory.nodes()}

    def holds(self, fits: tuple[Fit, ...], excluded: frozenset[str]) -> bool:
        """Return True if the nodes, all of them free, could hold one of these fits."""
        board = ReservationTable(self.inventory.nodes())
        return any(board.find(request_of(fit, excluded)) is not None for fit in fits)

    def climb(self, run: Run, attempt: Attempt) -> OomFallback | None:
        """Return the next settings that runner and nodes support; None without any."""
        if run.work is Work.SWEEP:
            return None  # The trials of a sweep have fits of their own, made before the launch.
        config = parse(Config, run.config, f"ledger run {run.run_id}")
        excluded = frozenset(run.excluded)
        rung = self._next(config, attempt.fit)
        while rung is not None:
            if rung.fit.unsupported is None and self.holds((rung.fit,), excluded):
                return rung
            rung = self._next(config, rung.fit)
        return None

    def _next(self, config: Config, failed: Fit) -> OomFallback | None:
        groups = self.inventory.groups
        alike = [group for group in groups if self._kind(group) == failed.profile]
        if not alike:
            return None
        largest = max(alike, key=lambda group: group.host_memory_gib)
        return next_fit(
            config,
            failed,
            self.inventory.profile_of(largest),
            largest.shape,
            nodes=largest.most,
            larger=[self._place(group) for group in groups if group not in alike],
            estimates=self.estimates,
        )

    def _kind(self, group: NodeGroup) -> str:
        return self.inventory.profile_of(group).name

    def _place(self, group: NodeGroup) -> DeviceOffer:
        return DeviceOffer(self.inventory.profile_of(group), group.shape, group.most)
