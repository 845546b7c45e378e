"""Who runs next, and where. The plan is its look-ahead; the controller starts its first step.

`look_ahead` gives every waiting run a place and a start. Runs are placed in their turns
(`turn.py`), into the holes that those before them leave and never in their way: backfilling with a
reservation for every run, so nobody's start is delayed by one further back in the queue. A gang
gets all of its devices at once, on nodes that really have them.

Runs that were submitted together have one turn where nobody else's comes between, and are placed
from the longest to the shortest. Where others wait behind them, each goes where it ends first: a
place that it left to its own would be taken by those. Where nobody does, they are arranged so that
the last of them ends early, by placing them several times over: each where it ends first; where
it costs the cluster least, at the prices of `bound`, among the places that end in time; and on
nothing much dearer than what suits it best. Then those that ended last complain and are placed
earlier ("Squeaky wheel optimization", Joslin and Clements, JAIR 10, 1999). The schedule that ends
first is kept.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.bound import Bound, lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Placement
from ntlbg_service.domain.scheduling.placing import (
    Kind,
    Placed,
    PlacementPolicy,
    demand,
    kind_of,
    place,
)
from ntlbg_service.domain.scheduling.queue_order import head_apart, in_turns
from ntlbg_service.domain.scheduling.reservations import ReservationTable, request_of

TASTES = (
    PlacementPolicy(),
    PlacementPolicy(deadline=1.02),
    PlacementPolicy(dearer=0.25),
    PlacementPolicy(dearer=0.08),
)
DEPTH = 1000
"""Runs that have a place reserved while it is decided who starts now. Those behind them start only
where they delay none of these. A deeper look costs more time than it wins hours."""
CLOSE = 1.02
"""A makespan within this factor of the least possible is not improved further."""
COMPLAINTS = 6
"""How often the runs that end last may complain."""
LOUDER = 1.5
"""What a complaint multiplies the hours of a run with, for its turn."""


def schedule(waiting: Sequence[Job], cluster: Cluster) -> tuple[Placement, ...]:
    """Who starts now. The others wait for a better place, or for the reservation of another."""
    if not something_free(cluster):
        return ()
    ahead = look_ahead(waiting, cluster, DEPTH)
    return tuple(interval.placement for interval in ahead if interval.start <= 0.0)


def something_free(cluster: Cluster) -> bool:
    """Whether some GPU may be; where none is, nobody starts."""
    busy = _add({}, ((row.placement.fit, 1.0) for row in cluster.held()))
    return any(count > busy.get(name, 0.0) for name, count in cluster.capacity().items())


def look_ahead(
    waiting: Sequence[Job],
    cluster: Cluster,
    depth: float = math.inf,
    turns: list[list[Job]] | None = None,
) -> tuple[HoursInterval, ...]:
    """When and where every waiting run would be, in the order of their starts.

    Jobs that the cluster could never hold, or their caps never allow, are left out. So are, beyond
    `depth` jobs, those that cannot start at once. `turns`: of all that wait, where they are known.
    """
    board = ReservationTable(cluster.nodes, cluster.drained)
    board.occupy(cluster.running)
    capacity = cluster.capacity()
    plain = Bound(hours=0.0, work=0.0, prices=dict.fromkeys(capacity, 1.0))
    busy = _add({}, ((row.placement.fit, row.hours) for row in cluster.held()))
    intervals: list[HoursInterval] = []
    fitting = _that_fit(waiting, board)
    if turns is None or fitting is not waiting:
        turns = in_turns(fitting)
    turns = head_apart(turns)
    waits: set[Kind] = set()
    for number, jobs in enumerate(turns, start=1):
        left = max(depth - len(intervals), 0)
        if number == len(turns) and len(jobs) > 1 and left:
            bound = lower_bound(demand(jobs), capacity, busy)
            placed = _best(jobs, board, bound, left)
        else:
            placed = place(jobs, board, plain, PlacementPolicy(), most=left, waits=waits)
        board = placed.board
        intervals += placed.intervals
        busy = _add(
            busy, ((row.placement.fit, row.placement.fit.hours) for row in placed.intervals)
        )
    return tuple(sorted(intervals, key=lambda interval: interval.start))


def _add(busy: Mapping[str, float], held: Iterable[tuple[Fit, float]]) -> dict[str, float]:
    """Device-hours by profile with those of what is held besides."""
    total = dict(busy)
    for fit, hours in held:
        total[fit.profile] = total.get(fit.profile, 0.0) + hours * fit.workers * fit.share
    return total


def _that_fit(waiting: Sequence[Job], board: ReservationTable) -> Sequence[Job]:
    """Jobs with the fits that some node could hold; without any, a job is left out. The same
    object where nothing is left out."""
    known: dict[Kind, tuple[Fit, ...]] = {}
    found = []
    same = True
    for job in waiting:
        kind = kind_of(job)
        held = known.get(kind)
        if held is None:
            asked = [(fit, request_of(fit, job.excluded, job.caps)) for fit in job.fits]
            held = tuple(fit for fit, ask in asked if board.find(ask) is not None)
            held = known[kind] = job.fits if len(held) == len(job.fits) else held
        if held:
            found.append(job if held is job.fits else replace(job, fits=held))
        same = same and held is job.fits
    return waiting if same else found


def _best(jobs: Sequence[Job], board: ReservationTable, bound: Bound, most: float) -> Placed:
    target = CLOSE * bound.hours
    best: Placed | None = None
    for taste in TASTES:
        tried = place(jobs, board.copy(), bound, taste, most=most)
        if best is None or tried.makespan < best.makespan:
            best, best_taste = tried, taste
        if best.makespan <= target:
            return best
    assert best is not None
    tried, weight = best, dict.fromkeys(map(kind_of, jobs), 1.0)
    for _ in range(COMPLAINTS):
        for kind in _late(jobs, tried, bound.hours):
            weight[kind] *= LOUDER
        tried = place(jobs, board.copy(), bound, best_taste, weight, most)
        best = min(best, tried, key=lambda placed: placed.makespan)
        if best.makespan <= target:
            break
    return best


def _late(jobs: Sequence[Job], placed: Placed, least: float) -> set[Kind]:
    """Kinds of which a run ends in the later half of what exceeds the least makespan."""
    half = (placed.makespan + least) / 2
    late = {row.placement.run_id for row in placed.intervals if row.end > half}
    return {kind_of(job) for job in jobs if job.run_id in late}
