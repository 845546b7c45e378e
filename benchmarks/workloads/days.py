"""A trace lived through, decision by decision, and how good the decisions were."""

import heapq
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ntlbg_service.domain.scheduling.bound import lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Placement
from ntlbg_service.domain.scheduling.placing import demand
from ntlbg_service.domain.scheduling.schedule import schedule

from .first_come import Free, first_spot
from .replay import exactly, still_running
from .traces import Trace

NOISE = 0.3
"""Standard deviation of the logarithm of real over predicted hours."""
A_WHILE = 0.1
"""Hours: a shorter run's slowdown is counted as if it took so long."""

Policy = Callable[[Sequence[Job], Cluster], Sequence[Placement]]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a trace went."""

    makespan: float
    """Hours from the first submission to the last end."""
    to_bound: float
    """That over a makespan that nothing undercuts."""
    mean_wait: float
    """Hours, as the next."""
    p99_wait: float
    utilisation: float
    """Device-hours held over those that there were, until the last submission."""
    fairness: float
    """Jain's index of the users' mean slowdowns: 1 where all are served alike."""
    mean_slowdown: float
    """Hours from submission to end, over those of the run on its fastest kind."""
    max_slowdown: float


def live(
    trace: Trace,
    cluster: Cluster,
    policy: Policy = schedule,
    takes: Callable[[Placement], float] = exactly,
) -> list[HoursInterval]:
    """Decide whenever something is submitted or ends; `takes` says how long a run really takes."""
    coming = sorted(trace.jobs, key=lambda job: job.submitted)[::-1]
    caps = {job.run_id: job.caps for job in trace.jobs}
    waiting: dict[str, Job] = {}
    active: list[tuple[float, int, HoursInterval]] = []
    intervals: list[HoursInterval] = []
    while coming or waiting:
        moments = [coming[-1].submitted] if coming else []
        now = min([*moments, *(end for end, _, _ in active[:1])])
        while coming and coming[-1].submitted <= now:
            job = coming.pop()
            waiting[job.run_id] = job
        while active and active[0][0] <= now:
            heapq.heappop(active)
        running = tuple(still_running(row, now, caps[row.placement.run_id]) for _, _, row in active)
        for placement in policy(list(waiting.values()), replace(cluster, running=running)):
            del waiting[placement.run_id]
            interval = HoursInterval(placement=placement, start=now, end=now + takes(placement))
            heapq.heappush(active, (interval.end, len(intervals), interval))
            intervals.append(interval)
    return intervals


def noisy(seed: int) -> Callable[[Placement], float]:
    """Real hours that are off by a log-normal factor."""

    def takes(placement: Placement) -> float:
        draw = random.Random(f"{seed} {placement.run_id}")
        return placement.fit.hours * draw.lognormvariate(0.0, NOISE)

    return takes


def strictly_first_come(waiting: Sequence[Job], cluster: Cluster) -> list[Placement]:
    """Each in its turn on the first GPUs that are free; who finds none holds up all behind."""
    return _first_come(waiting, cluster, skip=False)


def whoever_fits(waiting: Sequence[Job], cluster: Cluster) -> list[Placement]:
    """Each in its turn on the first GPUs that are free; who finds none is overtaken."""
    return _first_come(waiting, cluster, skip=True)


def _first_come(waiting: Sequence[Job], cluster: Cluster, *, skip: bool) -> list[Placement]:
    free = Free(cluster, cluster.running)
    placements = []
    full: set[int] = set()
    for job in waiting:
        found = None if id(job.fits) in full else first_spot(job, free)
        if found is not None:
            fit, ask, spot = found
            free.take(ask, spot)
            names = tuple(cluster.nodes[index].name for index in spot)
            placements.append(Placement(run_id=job.run_id, fit=fit, nodes=names))
        elif skip:
            full.add(id(job.fits))
        else:
            break
    return placements


POLICIES: dict[str, Policy] = {
    "scheduler": schedule,
    "first come": strictly_first_come,
    "first come, overtaking": whoever_fits,
}


def judge(trace: Trace, cluster: Cluster, intervals: Sequence[HoursInterval]) -> Verdict:
    """The figures of one trace."""
    jobs = {job.run_id: job for job in trace.jobs}
    rows = [(jobs[row.placement.run_id], row) for row in intervals]
    waits = sorted(row.start - job.submitted for job, row in rows)
    slowdowns = {job.run_id: _slowdown(job, row) for job, row in rows}
    first = min(job.submitted for job in trace.jobs)
    made = max(row.end for row in intervals) - first
    return Verdict(
        makespan=made,
        to_bound=made / _bound(trace, cluster),
        mean_wait=statistics.mean(waits),
        p99_wait=waits[int(0.99 * (len(waits) - 1))],
        utilisation=_utilisation(trace, cluster, intervals),
        fairness=_fairness(trace, slowdowns),
        mean_slowdown=statistics.mean(slowdowns.values()),
        max_slowdown=max(slowdowns.values()),
    )


def _slowdown(job: Job, row: HoursInterval) -> float:
    fastest = max(min(fit.hours for fit in job.fits), A_WHILE)
    return max(1.0, (row.end - job.submitted) / fastest)


def _bound(trace: Trace, cluster: Cluster) -> float:
    """What the work takes, and what the last ones take that come: nothing ends sooner."""
    first = min(job.submitted for job in trace.jobs)
    latest = max(job.submitted - first + min(fit.hours for fit in job.fits) for job in trace.jobs)
    return max(latest, lower_bound(demand(trace.jobs), cluster.capacity()).hours)


def _utilisation(trace: Trace, cluster: Cluster, intervals: Sequence[HoursInterval]) -> float:
    first = min(job.submitted for job in trace.jobs)
    last = max(job.submitted for job in trace.jobs)
    held = sum(
        row.placement.fit.workers * max(0.0, min(row.end, last) - row.start) for row in intervals
    )
    return held / (sum(cluster.capacity().values()) * (last - first))


def _fairness(trace: Trace, slowdowns: dict[str, float]) -> float:
    by_user: dict[str, list[float]] = {}
    for run_id, slowdown in slowdowns.items():
        by_user.setdefault(trace.users[run_id], []).append(slowdown)
    means = [statistics.mean(found) for found in by_user.values()]
    return sum(means) ** 2 / (len(means) * sum(mean**2 for mean in means))
