"""All of a gang or none of it: what did not come up in time gives everything back."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.liveness.gang import TRIES, UP_SECONDS, roll_back
from ntlbg_service.domain.recovery import LONGEST_WAIT_SECONDS, Ended, FailureClass, decide
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Running
from ntlbg_service.domain.scheduling.reservations import request_of
from ntlbg_service.domain.scheduling.schedule import schedule
from tests.support.made_up_histories import a_history

UP_HOURS = UP_SECONDS / 3600


@given(st.integers(1, 64), st.floats(0, 1e5), st.integers(0, 20))
def test_only_a_gang_that_is_late_and_not_for_ever(
    workers: int, silent: float, earlier: int
) -> None:
    decision = roll_back(workers, silent, earlier, "run")
    late = workers > 1 and silent > UP_SECONDS and earlier < TRIES
    assert (decision is not None) == late
    if decision is not None:
        assert decision.retry and decision.fit is None and not decision.exclude
        assert 0 < decision.wait_seconds <= 1.5 * LONGEST_WAIT_SECONDS
        assert f"{earlier + 1} of {TRIES}" in decision.reason


def test_it_is_no_loss() -> None:
    past = [Ended(failure=FailureClass.INTERRUPTED)] * TRIES
    lost = decide([*past, Ended(failure=FailureClass.INFRASTRUCTURE)])
    assert lost.retry and "1 of 3" in lost.reason


@pytest.mark.parametrize("seeds", [range(part, 2000, 4) for part in range(4)], ids=str)
def test_a_gang_that_does_not_come_up_holds_nothing_afterwards(seeds: Sequence[int]) -> None:
    """In histories where gangs fail to come up: no GPU is ever given twice, every run ends once,
    and none is tried more often in a row than is allowed."""
    rolled_back = 0
    for seed in seeds:
        history = a_history(seed, together=True)
        ran, tries = _live(history.cluster, history.jobs, Random(seed))
        assert sorted(row.placement.run_id for row, up in ran if up) == sorted(
            job.run_id for job in history.jobs
        )
        rolled_back += sum(not up for _, up in ran)
        for row, _ in ran:
            _check_nodes(row.start, [other for other, _ in ran], history.cluster)
        assert all(_most_in_a_row(outcomes) <= TRIES for outcomes in tries.values())
    assert rolled_back > 100


def _live(
    cluster: Cluster, jobs: Sequence[Job], draw: Random
) -> tuple[list[tuple[HoursInterval, bool]], dict[str, list[bool]]]:
    """Each attempt with whether it came up; and those outcomes by run."""
    waiting = {job.run_id: (job, job.submitted) for job in jobs}
    ran: list[tuple[HoursInterval, bool]] = []
    tries: dict[str, list[bool]] = {job.run_id: [] for job in jobs}
    active: list[tuple[HoursInterval, bool]] = []
    now = 0.0
    while waiting or active:
        for row in [row for row in active if row[0].end <= now]:
            active.remove(row)
            if not row[1]:
                job = next(job for job in jobs if job.run_id == row[0].placement.run_id)
                earlier = len(list(takewhile(lambda up: not up, reversed(tries[job.run_id])))) - 1
                decision = roll_back(row[0].placement.fit.workers, UP_SECONDS + 1, earlier, "")
                assert decision is not None
                waiting[job.run_id] = job, now + decision.wait_seconds / 3600
        running = tuple(
            Running(placement=row.placement, hours=max(row.end - now, 1e-6)) for row, _ in active
        )
        there = [job for job, since in waiting.values() if since <= now]
        for placement in schedule(there, replace(cluster, running=running)):
            mine = tries[placement.run_id]
            late = len(list(takewhile(lambda up: not up, reversed(mine)))) < TRIES
            up = placement.fit.workers < 2 or not late or draw.random() < 0.6
            mine.append(up)
            end = now + (placement.fit.hours if up else UP_HOURS)
            active.append((HoursInterval(placement=placement, start=now, end=end), up))
            ran.append(active[-1])
            del waiting[placement.run_id]
        later = [row.end for row, _ in active] + [at for _, at in waiting.values() if at > now]
        now = min(later, default=now)
    return ran, tries


def _check_nodes(moment: float, rows: Sequence[HoursInterval], cluster: Cluster) -> None:
    for node in cluster.nodes:
        there = [row for row in rows if row.start <= moment < row.end]
        held = [row.placement.fit for row in there if node.name in row.placement.nodes]
        assert sum(request_of(fit).need.gpus for fit in held) <= node.gpus


def _most_in_a_row(outcomes: Sequence[bool]) -> int:
    most = now = 0
    for up in outcomes:
        now = 0 if up else now + 1
        most = max(most, now)
    return most
