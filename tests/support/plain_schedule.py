"""The scheduler without what makes it fast: nothing is remembered, everything is looked at anew."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling import placing
from ntlbg_service.domain.scheduling.bound import Bound, lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, makespan
from ntlbg_service.domain.scheduling.placing import Kind, Placed, PlacementPolicy, demand, kind_of
from ntlbg_service.domain.scheduling.queue_order import head_apart
from ntlbg_service.domain.scheduling.reservations import (
    ReservationTable,
    ResourceRequest,
    Slot,
    has_room,
    request_of,
)
from ntlbg_service.domain.scheduling.schedule import CLOSE, COMPLAINTS, LOUDER, TASTES, _add, _late
from tests.support.queue_position import queue_position_of


class PlainBoard(ReservationTable):
    """Asks every node, every time."""

    def __init__(self, nodes: Sequence[Node], drained: frozenset[str] = frozenset()) -> None:
        super().__init__(nodes, drained)
        self._heaps = {}

    def copy(self) -> Self:
        other = super().copy()
        other._heaps = {}
        return other

    def find(self, ask: ResourceRequest) -> Slot | None:
        self._heaps = {}
        return super().find(ask)

    def anything_free(self) -> bool:
        return any(line.free_gpus(0.0) > 0 for line in self._lines) or bool(self._shared)

    def _open(self, ask: ResourceRequest) -> list[int]:
        return [
            index
            for index, node in enumerate(self.nodes)
            if node.name not in self._drained and has_room(node, ask)
        ]

    def _first(
        self, ask: ResourceRequest, members: Sequence[int], moment: float
    ) -> list[tuple[float, int]]:
        found = ((self._lines[index].earliest(moment, ask.need), index) for index in members)
        return sorted(found)[: ask.nodes]


def plain_look_ahead(
    waiting: Sequence[Job], cluster: Cluster, depth: float = math.inf
) -> tuple[HoursInterval, ...]:
    """`schedule.look_ahead`, straight on."""
    board: ReservationTable = PlainBoard(cluster.nodes, cluster.drained)
    board.occupy(cluster.running)
    capacity = cluster.capacity()
    bound = Bound(hours=0.0, work=0.0, prices=dict.fromkeys(capacity, 1.0))
    busy = _add({}, ((row.placement.fit, row.hours) for row in cluster.held()))
    intervals: list[HoursInterval] = []
    turns = head_apart(plain_turns(that_fit(waiting, board)))
    for number, jobs in enumerate(turns, start=1):
        left = max(depth - len(intervals), 0)
        if number == len(turns) and len(jobs) > 1 and left:
            last = lower_bound(demand(jobs), capacity, busy)
            placed = _best(jobs, board, last, left)
        else:
            placed = plain_place(jobs, board, bound, PlacementPolicy(), most=left)
        board = placed.board
        intervals += placed.intervals
        new = ((row.placement.fit, row.placement.fit.hours) for row in placed.intervals)
        busy = _add(busy, new)
    return tuple(sorted(intervals, key=lambda interval: interval.start))


def plain_turns(jobs: Sequence[Job]) -> list[list[Job]]:
    """`turn.in_turns`."""
    turns: list[list[Job]] = []
    last = None
    for job in sorted(jobs, key=lambda job: (queue_position_of(job), job.submitted, job.suite)):
        mine = (job.priority, job.submitted, job.suite)
        if mine != last:
            turns.append([])
        turns[-1].append(job)
        last = mine
    return turns


def that_fit(waiting: Sequence[Job], board: ReservationTable) -> list[Job]:
    """Jobs with the fits that some node could hold, the same object for those that are alike."""
    known: dict[Kind, tuple[object, ...]] = {}
    found = []
    for job in waiting:
        fits = [
            fit
            for fit in job.fits
            if board.find(request_of(fit, job.excluded, job.caps)) is not None
        ]
        if len(fits) == len(job.fits):
            found.append(job)
        elif fits:
            held = known.setdefault(kind_of(job), tuple(fits))
            found.append(replace(job, fits=held))  # type: ignore[arg-type]
    return found


def plain_place(
    jobs: Sequence[Job],
    board: ReservationTable,
    bound: Bound,
    taste: PlacementPolicy,
    weight: Mapping[Kind, float] | None = None,
    most: float = math.inf,
) -> Placed:
    """`placing.place`: beyond `most`, each run is looked at by itself until one of its kind in
    this turn had to wait."""
    kinds = {kind_of(job): placing._kind(job, bound, taste.dearer) for job in jobs}

    def rank(job: Job) -> tuple[float, int]:
        kind = kinds[kind_of(job)]
        return -kind.hours * (weight or {}).get(kind_of(job), 1.0), -kind.devices

    deadline = taste.deadline * bound.hours
    intervals: list[HoursInterval] = []
    waits: set[Kind] = set()
    for place, job in enumerate(sorted(jobs, key=rank)):
        kind = kinds[kind_of(job)]
        if place < most:
            option, spot = placing._choose(kind, board, deadline)
            intervals.append(placing._take(job, option, spot, board))
            continue
        if kind_of(job) in waits or not board.anything_free():
            continue
        found = [
            (option.fit.hours, option.cost, index, spot)
            for index, option in enumerate(kind.options)
            if (spot := board.find_now(option.ask)) is not None
        ]
        if found:
            _, _, index, spot = min(found)
            intervals.append(placing._take(job, kind.options[index], spot, board))
        else:
            waits.add(kind_of(job))
    return Placed(board=board, intervals=tuple(intervals), makespan=makespan(intervals))


def _best(jobs: Sequence[Job], board: ReservationTable, bound: Bound, most: float) -> Placed:
    target = CLOSE * bound.hours
    best: Placed | None = None
    for taste in TASTES:
        tried = plain_place(jobs, board.copy(), bound, taste, most=most)
        if best is None or tried.makespan < best.makespan:
            best, best_taste = tried, taste
        if best.makespan <= target:
            return best
    assert best is not None
    tried, weight = best, dict.fromkeys(map(kind_of, jobs), 1.0)
    for _ in range(COMPLAINTS):
        for kind in _late(jobs, tried, bound.hours):
            weight[kind] *= LOUDER
        tried = plain_place(jobs, board.copy(), bound, best_taste, weight, most)
        best = min(best, tried, key=lambda placed: placed.makespan)
        if best.makespan <= target:
            break
    return best
