"""Who runs next and where. The plan simulates it forward; the controller applies it."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_service.domain.fit import Fit


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as the scheduler sees it."""

    run_id: str
    fits: tuple[Fit, ...]
    """Where it can run; at least one."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A decision: this run, with this fit."""

    run_id: str
    fit: Fit


def schedule(waiting: Sequence[Job], free: Mapping[str, int]) -> tuple[Placement, ...]:
    """Place waiting runs on free devices, in their order.

    Each takes the fit with the fewest predicted GPU-hours among those that are free. A run that
    finds no place does not hold up those behind it (the queue is short and the runs are alike;
    a reservation for the head belongs to the cluster scheduler).
    """
    left = dict(free)
    placed: list[Placement] = []
    for job in waiting:
        open_fits = [fit for fit in job.fits if left.get(fit.profile, 0) >= fit.workers]
        if open_fits:
            chosen = min(open_fits, key=lambda fit: (fit.gpu_hours, fit.profile))
            left[chosen.profile] -= chosen.workers
            placed.append(Placement(run_id=job.run_id, fit=chosen))
    return tuple(placed)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """When a run is planned to be where, in hours from now."""

    placement: Placement
    start: float
    end: float


def simulate(jobs: Sequence[Job], capacity: Mapping[str, int]) -> tuple[Interval, ...]:
    """Run `schedule` forward over the predicted hours until every job has had its place.

    Jobs that never fit the capacity must not be passed in.
    """
    waiting = list(jobs)
    free = dict(capacity)
    ends: list[tuple[float, int, Placement]] = []
    intervals: list[Interval] = []
    now = 0.0
    while waiting:
        placed = schedule(waiting, free)
        for placement in placed:
            free[placement.fit.profile] -= placement.fit.workers
            end = now + placement.fit.hours
            heapq.heappush(ends, (end, len(intervals), placement))
            intervals.append(Interval(placement=placement, start=now, end=end))
        done = {placement.run_id for placement in placed}
        waiting = [job for job in waiting if job.run_id not in done]
        if waiting:
            now = ends[0][0]
        while waiting and ends and ends[0][0] == now:
            _, _, ended = heapq.heappop(ends)
            free[ended.fit.profile] += ended.fit.workers
    return tuple(intervals)
