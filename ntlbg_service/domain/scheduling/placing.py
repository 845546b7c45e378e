"""Placing a whole queue once: every run gets a place and a start, by one taste."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.bound import Bound, Way
from ntlbg_service.domain.scheduling.cluster import Cap, HoursInterval, Job, Placement, makespan
from ntlbg_service.domain.scheduling.reservations import (
    ReservationTable,
    ResourceRequest,
    Slot,
    request_of,
)


@dataclass(frozen=True, kw_only=True)
class PlacementPolicy:
    """What a run prefers among the places where it could start."""

    dearer: float = math.inf
    """How much more than where it suits best it may cost the cluster."""
    deadline: float = 0.0
    """In multiples of the least makespan: a run takes the cheapest place that ends by then. Where
    none does, and at 0, the one that ends first."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A queue, placed."""

    board: ReservationTable
    intervals: tuple[HoursInterval, ...]
    makespan: float


@dataclass(frozen=True, kw_only=True)
class _Option:
    fit: Fit
    ask: ResourceRequest
    cost: float


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What like runs may choose from."""

    options: tuple[_Option, ...]
    hours: float
    """On the fastest that is open to it."""
    devices: int


def ways(fits: Iterable[Fit]) -> tuple[Way, ...]:
    """Fits as the bound sees them."""
    return tuple(Way(fit.profile, fit.workers * fit.share, fit.hours) for fit in fits)


def demand(jobs: Sequence[Job]) -> Counter[tuple[Way, ...]]:
    """How many jobs there are of each kind, as the bound sees them."""
    known = {kind_of(job): job.fits for job in jobs}
    seen = {kind: ways(fits) for kind, fits in known.items()}
    return Counter(seen[kind_of(job)] for job in jobs)


Kind = tuple[int, frozenset[str], tuple[Cap, ...]]


def kind_of(job: Job) -> Kind:
    """The same for jobs that share their fits, their caps, and the nodes that they are kept off:
    they are alike to the scheduler."""
    return id(job.fits), job.excluded, job.caps


def place(
    jobs: Sequence[Job],
    board: ReservationTable,
    bound: Bound,
    taste: PlacementPolicy,
    weight: Mapping[Kind, float] | None = None,
    most: float = math.inf,
    waits: set[Kind] | None = None,
) -> Placed:
    """Place the longest first, and promise their places on the board.

    Each fit must be one that the board's nodes could hold. `weight`: by kind, what its hours count
    for in the order. `most`: how many get a place, whenever that is; those after them get one only
    where they start at once. `waits`: kinds that are known not to; those that are found are added.
    """
    weight = weight or {}
    waits = set() if waits is None else waits
    if most <= 0:
        jobs = [job for job in jobs if kind_of(job) not in waits] if board.anything_free() else []
    kinds: dict[Kind, _Kind] = {}
    rank: dict[Kind, tuple[float, int]] = {}
    for job in jobs:
        key = kind_of(job)
        if key not in kinds:
            kind = kinds[key] = _kind(job, bound, taste.dearer)
            rank[key] = (-kind.hours * weight.get(key, 1.0), -kind.devices)
    deadline = taste.deadline * bound.hours
    order = sorted(jobs, key=lambda job: rank[kind_of(job)])
    first = len(order) if len(order) <= most else int(most)
    intervals = [
        _take(job, *_choose(kinds[kind_of(job)], board, deadline), board) for job in order[:first]
    ]
    intervals += _fill(order[first:], kinds, board, waits)
    return Placed(board=board, intervals=tuple(intervals), makespan=makespan(intervals))


def _fill(
    jobs: Sequence[Job], kinds: Mapping[Kind, _Kind], board: ReservationTable, waits: set[Kind]
) -> list[HoursInterval]:
    """Those that can start at once; of a kind of which one cannot, none is looked at again."""
    intervals = []
    going = bool(jobs) and board.anything_free()
    for job in jobs if going else ():
        key = kind_of(job)
        if key in waits:
            continue
        found = [
            (option.fit.hours, option.cost, index, spot)
            for index, option in enumerate(kinds[key].options)
            if (spot := board.find_now(option.ask)) is not None
        ]
        if not found:
            waits.add(key)
            continue
        _, _, index, spot = min(found)
        intervals.append(_take(job, kinds[key].options[index], spot, board))
        if not board.anything_free():
            break
    return intervals


def _kind(job: Job, bound: Bound, dearer: float) -> _Kind:
    options = [
        _Option(fit=fit, ask=request_of(fit, job.excluded, job.caps), cost=bound.cost(way))
        for fit, way in zip(job.fits, ways(job.fits), strict=True)
    ]
    if not math.isinf(dearer):
        most = (1 + dearer) * min(option.cost for option in options)
        options = [option for option in options if option.cost <= most]
    fastest = min(options, key=lambda option: option.fit.hours).fit
    return _Kind(options=tuple(options), hours=fastest.hours, devices=fastest.workers)


def _choose(kind: _Kind, board: ReservationTable, deadline: float) -> tuple[_Option, Slot]:
    """The cheapest option that ends by the deadline, else the one that ends first."""
    found = [
        (max(spot.start + option.fit.hours, deadline), option.cost, index, spot)
        for index, option in enumerate(kind.options)
        if (spot := board.find(option.ask)) is not None
    ]
    _, _, index, spot = min(found)
    return kind.options[index], spot


def _take(job: Job, option: _Option, spot: Slot, board: ReservationTable) -> HoursInterval:
    board.take(option.ask, spot)
    names = tuple(board.nodes[index].name for index in spot.nodes)
    return HoursInterval(
        placement=Placement(run_id=job.run_id, fit=option.fit, nodes=names, device=spot.device),
        start=spot.start,
        end=spot.start + option.fit.hours,
    )
