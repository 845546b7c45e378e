"""Every node's promises at once: where a gang could start first, and holding that place."""

import heapq
from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple, Self

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.cluster import Cap, Running
from ntlbg_service.domain.scheduling.sharing import PARTS, SharedGpu, parts_of
from ntlbg_service.domain.scheduling.timeline import Need, Timeline


class ResourceRequest(NamedTuple):
    """What a fit needs: a number of nodes of one group, the same on each."""

    profile: str
    nodes: int
    need: Need
    excluded: frozenset[str] = frozenset()
    """Names of nodes that it is kept off."""
    caps: tuple[Cap, ...] = ()
    """What it counts against."""
    parts: int = PARTS
    """Of its one GPU, for a run that shares it."""

    @property
    def part(self) -> Need:
        """What it takes of a shared GPU."""
        return Need(self.parts, 0.0, self.need.hours)

    @property
    def all_parts(self) -> Need:
        """What the whole gang counts against a cap."""
        return Need(self.nodes * self.need.gpus * self.parts, 0.0, self.need.hours)


class Slot(NamedTuple):
    """Where a gang could start, all of it at once."""

    start: float
    nodes: tuple[int, ...]
    device: int | None = None
    """Number of the node's shared GPU."""


def request_of(
    fit: Fit, excluded: frozenset[str] = frozenset(), caps: tuple[Cap, ...] = ()
) -> ResourceRequest:
    """The need of a fit; its workers are spread evenly over its nodes."""
    share = -(-fit.workers // fit.nodes)
    need = Need(share, share * fit.host_gib, fit.hours)
    return ResourceRequest(fit.profile, fit.nodes, need, excluded, caps, parts_of(fit))


def has_room(node: Node, ask: ResourceRequest) -> bool:
    """Whether an empty node could hold one node's share."""
    enough = node.gpus >= ask.need.gpus and node.host_memory_gib >= ask.need.host_gib
    return enough and node.profile == ask.profile and node.name not in ask.excluded


class ReservationTable:
    """Promises on all nodes, and against all caps.

    `find` keeps a heap of nodes for each kind of need. A node's earliest start only ever moves
    back as promises are added, so what a heap holds is a bound from below and is looked at again
    when it comes to the top. Of nodes where it is the same, the choice is fixed: it must not
    depend on what was promised to runs further back.
    """

    def __init__(self, nodes: Sequence[Node], drained: frozenset[str] = frozenset()) -> None:
        self.nodes = tuple(nodes)
        self._drained = drained
        self._lines = [
            Timeline(node.gpus, node.host_memory_gib, node.ready_hours) for node in nodes
        ]
        self._free = {index for index, line in enumerate(self._lines) if line.free_gpus(0.0) > 0}
        self._caps: dict[Cap, Timeline] = {}
        self._shared: dict[int, dict[int, SharedGpu]] = {}
        self._heaps: dict[ResourceRequest, list[tuple[float, int, int]]] = {}
        self._soonest: dict[Need, dict[int, float]] = {}
        self._opened: dict[tuple[str, int, float, frozenset[str]], list[int]] = {}

    def copy(self) -> Self:
        """A board of the same promises, to be tried on."""
        other = type(self)(())
        other.nodes, other._drained = self.nodes, self._drained
        other._lines = [line.copy() for line in self._lines]
        other._free = self._free.copy()
        other._caps = {cap: line.copy() for cap, line in self._caps.items()}
        other._shared = {
            index: {number: gpu.copy() for number, gpu in gpus.items()}
            for index, gpus in self._shared.items()
        }
        other._heaps = {ask: heap.copy() for ask, heap in self._heaps.items()}
        other._soonest = {need: known.copy() for need, known in self._soonest.items()}
        other._opened = self._opened
        return other

    def find(self, ask: ResourceRequest) -> Slot | None:
        """The first spot for a gang; None where it could never start."""
        if any(ask.all_parts.gpus > cap.gpus * PARTS for cap in ask.caps):
            return None
        if ask.parts < PARTS:
            return self._find_part(ask)
        if ask.nodes > 1:
            return self._find_gang(ask)
        heap = self._heaps.get(ask)
        if heap is None:
            heap = [
                (self.nodes[index].ready_hours, *self._rank(index)) for index in self._open(ask)
            ]
            heapq.heapify(heap)
            self._heaps[ask] = heap
        while heap:
            start, _, index = heap[0]
            found = self._earliest(index, start, ask)
            if found == start:
                return Slot(start, (index,))
            heapq.heapreplace(heap, (found, *self._rank(index)))
        return None

    def find_now(self, ask: ResourceRequest) -> Slot | None:
        """A spot where a gang could start at once; None where it would have to wait."""
        free = sum(self._lines[index].free_gpus(0.0) >= ask.need.gpus for index in self._open(ask))
        if free < ask.nodes and ask.parts == PARTS:
            return None
        found = self.find(ask)
        return found if found is not None and found.start <= 0.0 else None

    def anything_free(self) -> bool:
        """Whether some GPU is free now, or has a part left."""
        return bool(self._free) or bool(self._shared)

    def _open(self, ask: ResourceRequest) -> list[int]:
        """Nodes that could hold one node's share."""
        key = (ask.profile, ask.need.gpus, ask.need.host_gib, ask.excluded)
        found = self._opened.get(key)
        if found is None:
            found = self._opened[key] = [
                index
                for index, node in enumerate(self.nodes)
                if node.name not in self._drained and has_room(node, ask)
            ]
        return found

    def _rank(self, index: int) -> tuple[int, int]:
        """Small nodes first."""
        return self.nodes[index].gpus, index

    def _earliest(self, index: int, after: float, ask: ResourceRequest) -> float:
        """When one node, and every cap, first has what is asked for."""
        while True:
            found = self._lines[index].earliest(after, ask.need)
            after = self._under_caps(found, ask)
            if after == found:
                return found

    def _under_caps(self, after: float, ask: ResourceRequest) -> float:
        while True:
            moment = after
            for cap in ask.caps:
                after = self._cap(cap).earliest(after, ask.all_parts)
            if after == moment:
                return after

    def _cap(self, cap: Cap) -> Timeline:
        if cap not in self._caps:
            self._caps[cap] = Timeline(cap.gpus * PARTS, 0.0)
        return self._caps[cap]

    def _find_gang(self, ask: ResourceRequest) -> Slot | None:
        groups: dict[int, list[int]] = {}
        for index in self._open(ask):
            groups.setdefault(self.nodes[index].group, []).append(index)
        spots = [
            self._find_together(ask, members)
            for members in groups.values()
            if len(members) >= ask.nodes
        ]
        return min(spots, default=None)

    def _find_together(self, ask: ResourceRequest, members: Sequence[int]) -> Slot:
        moment = 0.0
        while True:
            starts = self._first(ask, members, moment)
            latest = self._under_caps(starts[-1][0], ask)
            if starts[0][0] == latest:
                return Slot(latest, tuple(index for _, index in starts))
            moment = latest

    def _first(
        self, ask: ResourceRequest, members: Sequence[int], moment: float
    ) -> list[tuple[float, int]]:
        """The nodes of a gang that have what it asks for first, from a moment on.

        When a node had it before only moves back: one that had it too late then is not asked.
        """
        known = self._soonest.setdefault(ask.need, {})
        starts: list[tuple[float, int]] = []
        for least, index in sorted([(max(moment, known.get(each, 0.0)), each) for each in members]):
            if len(starts) >= ask.nodes and (least, index) > starts[ask.nodes - 1]:
                break
            found = self._lines[index].earliest(least, ask.need)
            if moment == 0.0:
                known[index] = found
            insort(starts, (found, index))
        return starts[: ask.nodes]

    def _find_part(self, ask: ResourceRequest) -> Slot | None:
        """The first GPU that is shared already and has a part left, else a free one."""
        spots = []
        for index in self._open(ask):
            start = self._earliest(index, 0.0, ask)
            spots.append((start, 1, index, self._unused(index)))
            for number, gpu in self._shared.get(index, {}).items():
                found = self._earliest_on(gpu, index, ask)
                if found is not None:
                    spots.append((found, 0, index, number))
        if not spots:
            return None
        start, _, index, number = min(spots)
        return Slot(start, (index,), number)

    def _unused(self, index: int) -> int:
        return max(self._shared.get(index, {}), default=-1) + 1

    def _earliest_on(self, gpu: SharedGpu, index: int, ask: ResourceRequest) -> float | None:
        line, beside = self._lines[index], ask.need._replace(gpus=0)
        start = gpu.start
        while True:
            found = self._under_caps(line.earliest(gpu.earliest(start, ask.part), beside), ask)
            if found == start:
                return start if gpu.reaches(start, ask.part, line) else None
            start = found

    def take(self, ask: ResourceRequest, spot: Slot) -> None:
        """Promise a spot."""
        end = spot.start + ask.need.hours
        for cap in ask.caps:
            self._cap(cap).take(spot.start, end, ask.all_parts.gpus, 0.0)
        if spot.device is not None:
            self._take_part(spot, ask)
            return
        for index in spot.nodes:
            self._lines[index].take(spot.start, end, ask.need.gpus, ask.need.host_gib)
            self._still_free(index)

    def _still_free(self, index: int) -> None:
        """Look whether a node that something was promised on has a GPU free now."""
        if self._lines[index].free_gpus(0.0) <= 0:
            self._free.discard(index)

    def _take_part(self, spot: Slot, ask: ResourceRequest) -> None:
        (index,), number = spot.nodes, spot.device
        assert number is not None
        line, end = self._lines[index], spot.start + ask.need.hours
        gpus = self._shared.setdefault(index, {})
        if number not in gpus:
            gpus[number] = SharedGpu(spot.start)
        gpus[number].take(spot.start, ask.part, line)
        line.take(spot.start, end, 0, ask.need.host_gib)
        self._still_free(index)

    def occupy(self, running: Sequence[Running]) -> None:
        """Hold what runs now: where it is known to be, else where it fits, largest first."""
        places = {node.name: index for index, node in enumerate(self.nodes)}
        for held in sorted(running, key=lambda held: (not held.placement.nodes, _size(held))):
            fit = held.placement.fit
            ask = request_of(fit, caps=held.caps)
            ask = ask._replace(need=ask.need._replace(hours=held.hours))
            known = [places[name] for name in held.placement.nodes if name in places]
            spot = Slot(0.0, tuple(known or self._guess(ask)))
            if ask.parts < PARTS and len(spot.nodes) == 1:
                spot = spot._replace(device=self._device(held, spot.nodes[0], ask))
            self.take(ask, spot)

    def _device(self, held: Running, index: int, ask: ResourceRequest) -> int:
        """Where it is noted to be, else the first shared GPU with a part left."""
        if held.placement.device is not None:
            return held.placement.device
        for number, gpu in self._shared.get(index, {}).items():
            if gpu.earliest(0.0, ask.part) == 0.0:
                return number
        return self._unused(index)

    def _guess(self, ask: ResourceRequest) -> list[int]:
        """The fullest nodes that still have room, else the emptiest."""
        likely = [index for index, node in enumerate(self.nodes) if node.profile == ask.profile]
        free = {index: self._lines[index].free_gpus(0.0) for index in likely}
        likely.sort(key=lambda index: (free[index] < ask.need.gpus, abs(free[index]), index))
        return likely[: ask.nodes]


def _size(held: Running) -> tuple[float, str]:
    fit = held.placement.fit
    return -fit.workers * fit.share, held.placement.run_id
