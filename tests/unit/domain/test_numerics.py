"""What is compared runs in one numerics class, where that costs little enough, else is flagged."""

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.numerics import allowed, pin
from ntlbg_service.domain.scheduling.cluster import makespan
from tests.support.made_up_jobs import a_cluster, a_fit, a_job

LEFT, RIGHT = "bf16 sdpa", "bf16 eager"


def either(hours: float = 1.0, right: float = 1.0) -> tuple[Fit, Fit]:
    return a_fit("a", hours), a_fit("b", right, attention="eager")


def test_groups_are_kept_whole_and_spread_over_the_classes() -> None:
    fits = either()
    jobs = [a_job(f"{g}{n}", *fits, group=g) for g in "xy" for n in range(4)]
    pinned = pin(jobs, a_cluster(a=2, b=2))
    assert sorted(pinned.classes.values()) == sorted([LEFT, RIGHT])
    assert makespan(pinned.intervals) == pinned.unpinned_hours == 2.0
    for group in "xy":
        found = {
            row.placement.fit.numerics
            for row in pinned.intervals
            if row.placement.run_id.startswith(group)
        }
        assert found == {pinned.classes[group]}


def test_a_group_is_let_go_where_one_class_takes_too_long() -> None:
    fits = either()
    jobs = [a_job(str(n), *fits, group="x") for n in range(4)]
    cluster = a_cluster(a=2, b=2)
    assert pin(jobs, cluster, share=0.5).classes == {}
    assert makespan(pin(jobs, cluster, share=0.5).intervals) == 1.0
    kept = pin(jobs, cluster, share=1.0)
    assert set(kept.classes) == {"x"}
    assert makespan(kept.intervals) == 2.0


def test_the_group_with_the_most_work_is_let_go_first() -> None:
    fits = either()
    small = [a_job(f"s{n}", *fits, group="small") for n in range(2)]
    large = [a_job(f"l{n}", *fits, group="large") for n in range(14)]
    pinned = pin([*small, *large], a_cluster(a=4, b=4), share=0.3)
    assert set(pinned.classes) == {"small"}


def test_a_group_without_a_class_in_common_cannot_be_kept() -> None:
    left, right = either()
    jobs = [a_job("l", left, group="x"), a_job("r", right, group="x")]
    pinned = pin(jobs, a_cluster(a=1, b=1))
    assert pinned.classes == {}
    assert {row.placement.fit.numerics for row in pinned.intervals} == {LEFT, RIGHT}


def test_nothing_to_choose_costs_nothing() -> None:
    pinned = pin([a_job("l", a_fit("a"), group="x")], a_cluster(a=1))
    assert pinned.classes == {"x": LEFT}
    assert makespan(pinned.intervals) == pinned.unpinned_hours


def test_fits_of_a_class() -> None:
    fits = either()
    assert allowed(fits, None) is fits
    assert allowed(fits, RIGHT) == (fits[1],)
