"""A queue driven to its end one decision at a time, as a controller does."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace

from ntlbg_service.domain.scheduling.cluster import (
    Cap,
    Cluster,
    HoursInterval,
    Job,
    Placement,
    Running,
)
from ntlbg_service.domain.scheduling.schedule import schedule

OVERDUE = 0.1
"""Share of its predicted hours that a run is thought to need still when they have passed."""


def exactly(placement: Placement) -> float:
    """Hours that a run takes if its prediction is right."""
    return placement.fit.hours


def replay(
    jobs: Sequence[Job], cluster: Cluster, takes: Callable[[Placement], float] = exactly
) -> list[HoursInterval]:
    """Decide whenever a run ends; `takes` says how long one really takes."""
    waiting = {job.run_id: job for job in jobs}
    active: list[tuple[float, int, HoursInterval]] = []
    intervals: list[HoursInterval] = []
    now = 0.0
    while waiting:
        running = tuple(still_running(interval, now) for _, _, interval in active)
        placed = schedule(list(waiting.values()), replace(cluster, running=running))
        for placement in placed:
            del waiting[placement.run_id]
            interval = HoursInterval(placement=placement, start=now, end=now + takes(placement))
            heapq.heappush(active, (interval.end, len(intervals), interval))
            intervals.append(interval)
        if waiting:
            now = active[0][0]
            while active and active[0][0] == now:
                heapq.heappop(active)
    return intervals


def still_running(interval: HoursInterval, now: float, caps: tuple[Cap, ...] = ()) -> Running:
    """What runs, with the hours that it is thought to need still."""
    predicted = interval.placement.fit.hours
    left = max(interval.start + predicted - now, OVERDUE * predicted, 1e-9)
    return Running(placement=interval.placement, hours=left, caps=caps)
