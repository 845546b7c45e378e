"""Every node's promises at once: where a gang could start first, and holding that place."""

import heapq
from collections.abc import Sequence
from typing import NamedTuple, Self

from ntlbg_service.domain.cluster import Running
from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.inventory import Node
from ntlbg_service.domain.timeline import Need, Timeline


class Ask(NamedTuple):
    """What a fit needs: a number of nodes of one group, the same on each."""

    profile: str
    nodes: int
    need: Need
    excluded: frozenset[str] = frozenset()
    """Names of nodes that it is kept off."""


class Spot(NamedTuple):
    """Where a gang could start, all of it at once."""

    start: float
    nodes: tuple[int, ...]


def ask_of(fit: Fit, excluded: frozenset[str] = frozenset()) -> Ask:
    """The need of a fit; its workers are spread evenly over its nodes."""
    share = -(-fit.workers // fit.nodes)
    return Ask(fit.profile, fit.nodes, Need(share, share * fit.host_gib, fit.hours), excluded)


def has_room(node: Node, ask: Ask) -> bool:
    """Whether an empty node could hold one node's share."""
    enough = node.gpus >= ask.need.gpus and node.host_memory_gib >= ask.need.host_gib
    return enough and node.profile == ask.profile and node.name not in ask.excluded


class Board:
    """Promises on all nodes.

    `find` keeps a heap of nodes for each kind of need. A node's earliest start only ever moves
    back as promises are added, so what a heap holds is a bound from below and is looked at again
    when it comes to the top.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self._lines = [
            Timeline(node.gpus, node.host_memory_gib, node.ready_hours) for node in nodes
        ]
        self._heaps: dict[Ask, list[tuple[float, int, int]]] = {}

    def copy(self) -> Self:
        """A board of the same promises, to be tried on."""
        other = type(self)(())
        other.nodes = self.nodes
        other._lines = [line.copy() for line in self._lines]
        other._heaps = {ask: heap.copy() for ask, heap in self._heaps.items()}
        return other

    def find(self, ask: Ask) -> Spot | None:
        """The first spot for a gang; None where it could never start."""
        if ask.nodes > 1:
            return self._find_gang(ask)
        heap = self._heaps.get(ask)
        if heap is None:
            heap = [
                (node.ready_hours, node.gpus, index)
                for index, node in enumerate(self.nodes)
                if has_room(node, ask)
            ]
            heapq.heapify(heap)
            self._heaps[ask] = heap
        while heap:
            start, _, index = heap[0]
            line = self._lines[index]
            found = line.earliest(start, ask.need)
            if found == start:
                return Spot(start, (index,))
            heapq.heapreplace(heap, (found, line.free_gpus(found), index))
        return None

    def _find_gang(self, ask: Ask) -> Spot | None:
        groups: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            if has_room(node, ask):
                groups.setdefault(node.group, []).append(index)
        spots = [
            self._find_together(ask, members)
            for members in groups.values()
            if len(members) >= ask.nodes
        ]
        return min(spots, default=None)

    def _find_together(self, ask: Ask, members: Sequence[int]) -> Spot:
        moment = 0.0
        while True:
            starts = sorted(
                (self._lines[index].earliest(moment, ask.need), index) for index in members
            )[: ask.nodes]
            latest = starts[-1][0]
            if starts[0][0] == latest:
                return Spot(latest, tuple(index for _, index in starts))
            moment = latest

    def take(self, ask: Ask, spot: Spot) -> None:
        """Promise a spot."""
        end = spot.start + ask.need.hours
        for index in spot.nodes:
            self._lines[index].take(spot.start, end, ask.need.gpus, ask.need.host_gib)

    def occupy(self, running: Sequence[Running]) -> None:
        """Hold what runs now: where it is known to be, else where it fits, largest first."""
        places = {node.name: index for index, node in enumerate(self.nodes)}
        for held in sorted(running, key=lambda held: (not held.placement.nodes, _size(held))):
            ask = ask_of(held.placement.fit)
            known = [places[name] for name in held.placement.nodes if name in places]
            for index in known or self._guess(ask):
                self._lines[index].take(0.0, held.hours, ask.need.gpus, ask.need.host_gib)

    def _guess(self, ask: Ask) -> list[int]:
        """The fullest nodes that still have room, else the emptiest."""
        likely = [index for index, node in enumerate(self.nodes) if node.profile == ask.profile]
        free = {index: self._lines[index].free_gpus(0.0) for index in likely}
        likely.sort(key=lambda index: (free[index] < ask.need.gpus, abs(free[index]), index))
        return likely[: ask.nodes]


def _size(held: Running) -> tuple[int, str]:
    return -held.placement.fit.workers, held.placement.run_id
