"""One scheduler: never more than there is, nothing forgotten, the cheapest free place first."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.schedule import Interval, Job, schedule, simulate


def a_fit(profile: str, hours: float = 1.0, workers: int = 1) -> Fit:
    return Fit(
        profile=profile,
        precision="bf16",
        attention="sdpa",
        micro_batch=1,
        accumulation=1,
        workers=workers,
        gradient_checkpointing=False,
        predicted_gib=1.0,
        limit_gib=2.0,
        hours=hours,
        memory={},
        reasons=(),
    )


CAPACITY = st.fixed_dictionaries({"a": st.integers(1, 6), "b": st.integers(1, 6)})


@st.composite
def workload(draw: st.DrawFn) -> tuple[list[Job], dict[str, int]]:
    capacity = draw(CAPACITY)
    jobs = []
    for number in range(draw(st.integers(0, 25))):
        profiles = draw(st.lists(st.sampled_from("ab"), min_size=1, unique=True))
        fits = tuple(
            a_fit(
                profile,
                draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.7])),
                draw(st.integers(1, capacity[profile])),
            )
            for profile in profiles
        )
        jobs.append(Job(run_id=str(number), fits=fits))
    return jobs, capacity


@given(workload())
def test_a_decision_stays_within_what_is_free(load: tuple[list[Job], dict[str, int]]) -> None:
    jobs, capacity = load
    taken: Counter[str] = Counter()
    for placement in schedule(jobs, capacity):
        taken[placement.fit.profile] += placement.fit.workers
    assert all(taken[profile] <= capacity[profile] for profile in taken)


@given(workload())
def test_who_waits_finds_no_place(load: tuple[list[Job], dict[str, int]]) -> None:
    jobs, capacity = load
    placed = schedule(jobs, capacity)
    left = Counter(capacity)
    for placement in placed:
        left[placement.fit.profile] -= placement.fit.workers
    waiting = {job.run_id for job in jobs} - {placement.run_id for placement in placed}
    for job in jobs:
        if job.run_id in waiting:
            assert all(fit.workers > left[fit.profile] for fit in job.fits)


def in_use(intervals: tuple[Interval, ...], profile: str, moment: float) -> int:
    return sum(
        interval.placement.fit.workers
        for interval in intervals
        if interval.placement.fit.profile == profile and interval.start <= moment < interval.end
    )


@given(workload())
def test_simulation_places_every_job_once_within_the_capacity(
    load: tuple[list[Job], dict[str, int]],
) -> None:
    jobs, capacity = load
    intervals = simulate(jobs, capacity)
    assert sorted(interval.placement.run_id for interval in intervals) == sorted(
        job.run_id for job in jobs
    )
    by_id = {job.run_id: job for job in jobs}
    for interval in intervals:
        fit = interval.placement.fit
        assert fit in by_id[interval.placement.run_id].fits
        assert interval.end == interval.start + fit.hours
        for profile, devices in capacity.items():
            assert in_use(intervals, profile, interval.start) <= devices
    assert all(earlier.start <= later.start for earlier, later in pairwise(intervals))


def test_the_cheapest_free_place_is_taken() -> None:
    job = Job(run_id="r", fits=(a_fit("slow", 4), a_fit("fast", 1, workers=2), a_fit("mid", 3)))
    (placement,) = schedule([job], {"slow": 1, "fast": 2, "mid": 1})
    assert placement.fit.profile == "fast"
    (placement,) = schedule([job], {"slow": 1, "fast": 1, "mid": 1})
    assert placement.fit.profile == "mid"


def test_a_large_run_does_not_hold_up_those_behind_it() -> None:
    large = Job(run_id="large", fits=(a_fit("a", workers=4),))
    small = Job(run_id="small", fits=(a_fit("a"),))
    assert [placement.run_id for placement in schedule([large, small], {"a": 2})] == ["small"]


def test_what_ends_at_once_is_free_at_once() -> None:
    jobs = [Job(run_id=str(n), fits=(a_fit("a", 1.0),)) for n in range(2)]
    pair = Job(run_id="pair", fits=(a_fit("a", 1.0, workers=2),))
    late = Job(run_id="late", fits=(a_fit("a", 1.0),))
    intervals = {
        interval.placement.run_id: interval for interval in simulate([*jobs, pair, late], {"a": 2})
    }
    assert intervals["pair"].start == 1.0
    assert intervals["late"].start == 2.0


def test_nothing_to_do_takes_no_time() -> None:
    assert simulate([], {"a": 1}) == ()
    assert schedule([Job(run_id="r", fits=(a_fit("a"),))], {}) == ()
