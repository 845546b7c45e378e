"""What a queued run waits for: the scheduler asked where and when it would start."""

from collections.abc import Sequence
from dataclasses import dataclass

from ntlbg_service.domain.scheduling.cluster import Cap, Cluster, HoursInterval, Job, Running
from ntlbg_service.domain.scheduling.schedule import look_ahead

A_MOMENT = 1e-6
"""Hours within which two times are the same."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Where a queued run would go, and what holds that place until then."""

    interval: HoursInterval
    """By predicted hours."""
    behind: tuple[str, ...]
    """Ids of runs, running or queued, whose end frees what it starts on."""
    ahead: int
    """Queued runs that start before it."""


def wait_of(run_id: str, jobs: Sequence[Job], cluster: Cluster) -> Wait | None:
    """The wait of one of the jobs; None where no node could ever hold it."""
    intervals = look_ahead(jobs, cluster)
    mine = next((row for row in intervals if row.placement.run_id == run_id), None)
    if mine is None:
        return None
    return Wait(
        interval=mine,
        behind=_behind(mine, intervals, cluster.running),
        ahead=sum(row.start < mine.start - A_MOMENT for row in intervals),
    )


def _behind(
    mine: HoursInterval, intervals: Sequence[HoursInterval], running: Sequence[Running]
) -> tuple[str, ...]:
    if mine.start <= A_MOMENT:
        return ()
    nodes = set(mine.placement.nodes)
    held = [(row.placement, row.hours) for row in running]
    held += [(row.placement, row.end) for row in intervals if row.start < mine.start - A_MOMENT]
    return tuple(
        placement.run_id
        for placement, end in held
        if abs(end - mine.start) < A_MOMENT
        # A running attempt need not say its nodes; it may be the one.
        and (not placement.nodes or nodes & set(placement.nodes))
    )


def full_caps(job: Job, running: Sequence[Running]) -> tuple[tuple[Cap, float], ...]:
    """Caps that leave a job no room now, with the GPUs that count against each."""
    held = [
        (cap, row.placement.fit.workers * row.placement.fit.share)
        for row in running
        for cap in row.caps
    ]
    used = {cap: sum(gpus for other, gpus in held if other == cap) for cap in job.caps}
    least = min(fit.workers * fit.share for fit in job.fits)
    return tuple((cap, gpus) for cap, gpus in used.items() if gpus + least > cap.gpus)


def words_of_wait(wait: Wait, names: dict[str, str]) -> str:
    """One sentence; `names` are labels of runs by id."""
    where = ", ".join(wait.interval.placement.nodes)
    if wait.interval.start <= A_MOMENT:
        return f"its place on {where} is free; the next step of a controller starts it"
    before = [names.get(run_id, run_id) for run_id in wait.behind]
    freed = f"{' and '.join(before[:2])} to end on {where}" if before else f"a place on {where}"
    behind = f", behind {wait.ahead} other runs" if wait.ahead > 1 else ""
    return f"waits for {freed}{behind}"
