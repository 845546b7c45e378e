"""What holds in every history, of thousands drawn at random: nobody waits because of who came
later, the head of the queue keeps its place, caps hold, a drained node empties, a shared GPU is
never over its limit."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Placement, Running
from ntlbg_service.domain.scheduling.queue_order import head_apart, in_turns, size_of
from ntlbg_service.domain.scheduling.reservations import request_of
from ntlbg_service.domain.scheduling.schedule import look_ahead, schedule
from tests.support.made_up_histories import a_history, off_by_a_factor, watched
from tests.support.queue_position import queue_position_of

HISTORIES = 2000
"""Of each kind, in four parts; one of them is in `make test`."""
PARTS = [
    pytest.param(
        range(part, HISTORIES, 4), marks=[pytest.mark.long] if part else [], id=f"part {part}"
    )
    for part in range(4)
]

each_part = pytest.mark.parametrize("seeds", PARTS)


def ahead_of(one: Job, other: Job) -> bool:
    """Whether `other` is later, not more urgent and not smaller."""
    return (
        other.submitted > one.submitted
        and other.priority <= one.priority
        and size_of(other) >= size_of(one)
    )


@each_part
def test_no_wait_depends_on_a_later_run_that_is_not_more_urgent_and_not_smaller(
    seeds: Sequence[int],
) -> None:
    """With hours as predicted: without that run, the others start when and where they do with
    it. Left aside are those before which somebody more urgent or smaller came when it had started
    already: nobody could have kept a place for that one."""
    compared = 0
    for seed in seeds:
        history = a_history(seed, caps=seed % 3 == 0)
        whole = {row.placement.run_id: row for row in history.live()}
        other = Random(seed).choice(history.jobs) if history.jobs else None
        if other is None:
            continue
        without = {row.placement.run_id: row for row in history.live(without=other.run_id)}
        since = whole[other.run_id].start
        came = [queue_position_of(job) for job in history.jobs if job.submitted > since]
        for job in history.jobs:
            if ahead_of(job, other) and not any(turn < queue_position_of(job) for turn in came):
                compared += 1
                assert whole[job.run_id] == without[job.run_id], (seed, job.run_id, other.run_id)
    assert compared > len(seeds) // 2


@each_part
def test_nobody_starts_where_one_ahead_of_it_would_end_sooner(seeds: Sequence[int]) -> None:
    """Whatever the predictions are worth: none that waits could have taken the place of a later
    run that is not more urgent and not smaller, and have ended there before it now expects to."""
    compared = 0

    def look(waiting: Sequence[Job], cluster: Cluster, placements: Sequence[Placement]) -> None:
        nonlocal compared
        started = {placement.run_id: placement for placement in placements}
        promised = {row.placement.run_id: row for row in look_ahead(waiting, cluster)}
        jobs = {job.run_id: job for job in waiting}
        left = [job for job in waiting if job.run_id not in started]
        for job in left:
            for placement in placements:
                if ahead_of(job, jobs[placement.run_id]):
                    compared += 1
                    _no_sooner(job, placement, promised[job.run_id])

    for seed in seeds:
        history = a_history(seed, together=True)
        history.live(watched(look), off_by_a_factor(seed))
    assert compared > 50


def _no_sooner(job: Job, taken: Placement, promised: HoursInterval) -> None:
    theirs = request_of(taken.fit)
    for fit in job.fits:
        mine = request_of(fit)
        same = mine.profile == theirs.profile and mine.nodes <= theirs.nodes
        if same and all(a <= b for a, b in zip(mine.need, theirs.need, strict=True)):
            assert promised.end <= fit.hours


@each_part
def test_nothing_that_is_backfilled_delays_the_head_of_the_queue(seeds: Sequence[int]) -> None:
    kept = 0

    def look(waiting: Sequence[Job], cluster: Cluster, placements: Sequence[Placement]) -> None:
        nonlocal kept
        turns = head_apart(in_turns(waiting))
        if len(turns) < 2:
            return
        (head,) = turns[0]
        (alone,) = look_ahead([head], cluster)
        assert alone in look_ahead(waiting, cluster)
        others = [row for row in placements if row.run_id != head.run_id]
        if alone.start > 0 and others:
            kept += 1
            more = tuple(Running(placement=row, hours=row.fit.hours) for row in others)
            behind = replace(cluster, running=cluster.running + more)
            assert look_ahead([head], behind) == (alone,)

    for seed in seeds:
        history = a_history(seed, together=seed % 2 == 0)
        history.live(watched(look), off_by_a_factor(seed))
    assert kept > 100


@each_part
def test_no_cap_is_ever_exceeded_and_nobody_is_forgotten(seeds: Sequence[int]) -> None:
    capped = 0
    for seed in seeds:
        history = a_history(seed, together=True, caps=True)
        intervals = history.live(takes=off_by_a_factor(seed))
        assert len(intervals) == len(history.jobs)
        jobs = {job.run_id: job for job in history.jobs}
        for now in intervals:
            there = [row for row in intervals if row.start <= now.start < row.end]
            for cap in jobs[now.placement.run_id].caps:
                held = [row for row in there if cap in jobs[row.placement.run_id].caps]
                used = sum(row.placement.fit.workers for row in held)
                assert used <= cap.gpus
                capped += used == cap.gpus
    assert capped > 100


@each_part
def test_a_drained_node_empties_and_the_others_go_on(seeds: Sequence[int]) -> None:
    drained_runs = 0
    for seed in seeds:
        history = a_history(seed, together=True)
        (node,) = Random(seed).sample(history.cluster.nodes, 1)
        seen: list[str] = []

        def policy(
            waiting: Sequence[Job],
            cluster: Cluster,
            drained: frozenset[str] = frozenset({node.name}),
            seen: list[str] = seen,
        ) -> Sequence[Placement]:
            """The node is drained from the fourth decision on, and back when it is empty and
            nothing else would ever start."""
            seen.append("")
            closed = replace(cluster, drained=drained) if len(seen) > 3 else cluster
            placements = schedule(waiting, closed)
            if len(seen) > 3:
                assert not any(drained.intersection(row.nodes) for row in placements)
                if not placements and not cluster.running and waiting:
                    placements = schedule(waiting, cluster)
            return placements

        intervals = history.live(policy, off_by_a_factor(seed))
        assert len(intervals) == len(history.jobs)
        drained_runs += sum(node.name in row.placement.nodes for row in intervals)
    assert drained_runs > 100


@each_part
def test_a_shared_gpu_is_never_over_its_limit(seeds: Sequence[int]) -> None:
    side_by_side = 0
    for seed in seeds:
        history = a_history(seed, together=True, sharing=True, caps=seed % 2 == 0)
        intervals = history.live(takes=off_by_a_factor(seed))
        assert len(intervals) == len(history.jobs)
        for now in intervals:
            side_by_side += _check_devices(now.start, intervals, history.cluster)
    assert side_by_side > 100


def _check_devices(moment: float, intervals: Sequence[HoursInterval], cluster: Cluster) -> int:
    """No GPU is promised twice; those on a shared one are predicted to fit together."""
    most = 0
    for node in cluster.nodes:
        there = [
            row.placement
            for row in intervals
            if row.start <= moment < row.end and node.name in row.placement.nodes
        ]
        devices: dict[int, list[Placement]] = {}
        for placement in there:
            if placement.device is not None:
                devices.setdefault(placement.device, []).append(placement)
        whole = sum(request_of(row.fit).need.gpus for row in there if row.device is None)
        assert whole + len(devices) <= node.gpus
        for beside in devices.values():
            assert sum(row.fit.predicted_gib for row in beside) <= 8.0
            assert sum(row.fit.share for row in beside) <= 1.0
            most = max(most, len(beside))
    return int(most > 1)
