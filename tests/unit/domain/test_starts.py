"""Why a run starts now, in numbers; whose turn it is; caps; what shares a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.config_files.loader import load_caps
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.cluster import Cap, Cluster, Job, Placement, Running
from ntlbg_service.domain.scheduling.queue_order import LEVEL_HOURS, MOST_PATIENCE, in_turns
from ntlbg_service.domain.scheduling.schedule import look_ahead, schedule
from ntlbg_service.domain.scheduling.sharing import as_plain, on_part, parts_of
from ntlbg_service.domain.scheduling.starts import starts, words_of_start
from ntlbg_service.domain.scheduling.waiting import full_caps
from tests.support.made_up_jobs import (
    a_cluster,
    a_fit,
    a_job,
    check,
    clusters,
    could_hold,
    queues,
)
from tests.support.queue_position import queue_position_of


@given(queues(), clusters())
def test_the_starts_are_those_of_the_schedule(jobs: list[Job], cluster: Cluster) -> None:
    assert [start.placement for start in starts(jobs, cluster, 0.0)] == list(
        schedule(jobs, cluster)
    )


def test_a_start_says_its_numbers() -> None:
    held = Running(placement=Placement(run_id="r", fit=a_fit("a"), nodes=("a-1",)), hours=2.0)
    cluster = replace(a_cluster(a=4), running=(held,))
    cap = Cap("user ann", 3)
    gang = replace(a_job("gang", a_fit("a", 9.0, 4)), submitted=1.0, suite="x")
    short = replace(a_job("short", a_fit("a", 2.0)), submitted=22.0, suite="y", priority=-1)
    (start,) = starts([gang, replace(short, caps=(cap,))], cluster, now=34.0)
    assert (start.place, start.queued, start.waited, start.device_hours) == (2, 2, 12.0, 2.0)
    assert start.aged == -1 + 12.0 / LEVEL_HOURS
    assert start.caps == ((cap, 1),)
    assert words_of_start(start, {"gang": "g/x seed 1"}) == (
        "place 2 of 2 in the queue (priority -1, with 12.00 h of waiting -0.75; 2.00 GPU-hours); "
        "delays none ahead: g/x seed 1 has a-1 in 2.00 h; user ann then holds 1 of 3 GPUs"
    )


def test_of_many_that_are_overtaken_two_are_named() -> None:
    held = Running(placement=Placement(run_id="r", fit=a_fit("a"), nodes=("a-1",)), hours=2.0)
    cluster = replace(a_cluster(a=4), running=(held,))
    gangs = [replace(a_job(f"g{n}", a_fit("a", 1.0, 4)), submitted=n / 8) for n in range(4)]
    short = replace(a_job("short", a_fit("a", 2.0)), submitted=9.0)
    (start,) = starts([*gangs, short], cluster, now=9.0)
    assert [row.placement.run_id for row in start.overtaken] == ["g0", "g1", "g2", "g3"]
    words = words_of_start(start, {})
    assert "g0 has a-1 in 2.00 h, g1 has a-1 in 3.00 h and 2 more" in words


def test_where_nothing_is_free_nobody_starts() -> None:
    held = Running(placement=Placement(run_id="r", fit=a_fit("a"), nodes=("a-1",)), hours=2.0)
    cluster = replace(a_cluster(a=1), running=(held,))
    assert starts([a_job("j", a_fit("a"))], cluster, 0.0) == ()


def test_a_level_of_priority_is_worth_two_days_of_waiting() -> None:
    urgent = replace(a_job("urgent", a_fit("a"), priority=1), submitted=100.0)
    early = replace(a_job("early", a_fit("a")), submitted=100.0 - LEVEL_HOURS - 0.5)
    later = replace(early, run_id="later", submitted=100.0 - LEVEL_HOURS + 0.5)
    order = [job.run_id for turn in in_turns([later, urgent, early]) for job in turn]
    assert order == ["early", "urgent", "later"]


def test_small_ones_go_ahead_of_large_ones_but_not_for_ever() -> None:
    large = replace(a_job("large", a_fit("a", 100.0, 8)), submitted=0.0)
    small = replace(a_job("small", a_fit("a", 0.5)), submitted=MOST_PATIENCE - 1)
    assert queue_position_of(small) < queue_position_of(large) == MOST_PATIENCE
    assert queue_position_of(replace(small, submitted=MOST_PATIENCE)) > queue_position_of(large)


def test_what_was_submitted_together_is_arranged_as_one_unless_somebody_is_between() -> None:
    suite = [replace(a_job(f"s{n}", a_fit("a", n + 1.0)), suite="s") for n in range(3)]
    assert in_turns(suite) == [suite]
    other = replace(a_job("other", a_fit("a", 1.5)), suite="t")
    assert in_turns([*suite, other]) == [suite[:1], [other], suite[1:]]


def test_caps_are_found_by_name_then_for_anyone() -> None:
    caps = Caps(users={"ann": 16, "bob": None, "*": 8}, suites={"big": 4, "big@laptop": 2})
    assert caps.of("ann", "x") == (Cap("user ann", 16),)
    assert caps.of("bob", "x") == ()
    assert caps.of("eve", "big@cluster") == (Cap("user eve", 8), Cap("suite big@cluster", 4))
    assert caps.of("bob", "big@laptop") == (Cap("suite big@laptop", 2),)
    assert Caps().of("ann", "x") == ()


@pytest.mark.parametrize("what", ["users", "suites"])
def test_a_cap_below_one_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=rf"{what}\.ann must be at least 1 or null, got 0"):
        Caps(**{what: {"ann": 0}})


def test_a_capped_user_leaves_gpus_to_others() -> None:
    cap = Cap("user ann", 2)
    ann = [replace(a_job(f"ann{n}", a_fit("a")), caps=(cap,), suite="x") for n in range(4)]
    bob = replace(a_job("bob", a_fit("a")), suite="y")
    placed = [row.run_id for row in schedule([*ann, bob], a_cluster(a=4))]
    assert sorted(placed) == ["ann0", "ann1", "bob"]
    wide = replace(a_job("wide", a_fit("a", workers=4)), caps=(cap,))
    assert look_ahead([wide], a_cluster(a=4)) == ()


def test_a_part_is_a_small_card_with_its_share_of_cores() -> None:
    part = on_part(replace(a_fit("a", 2.0), cores=12), 4)
    assert (part.share, part.cores, part.hours, parts_of(part)) == (0.25, 3, 5.0, 2)
    assert on_part(a_fit("a"), 8).cores == 1
    whole = a_fit("a")
    assert as_plain(replace(whole, micro_batch=2, vision_chunk=4), whole)
    assert not as_plain(replace(whole, gradient_checkpointing=True), whole)


def test_runs_that_agree_share_a_gpu_and_others_do_not() -> None:
    small = on_part(a_fit("a"), 4)
    assert (small.share, small.resources["GPU"]) == (0.25, 0.25)
    sharing = [a_job(f"s{n}", small) for n in range(5)]
    placed = schedule([*sharing, a_job("whole", a_fit("a", 0.5))], a_cluster(a=2))
    assert [(row.run_id, row.device) for row in placed] == [
        ("s0", 0), ("s1", 0), ("s2", 0), ("s3", 0), ("s4", 1),
    ]  # fmt: skip
    running = tuple(Running(placement=replace(row, device=None), hours=1.0) for row in placed)
    crowded = replace(a_cluster(a=2), running=running)
    more = schedule([a_job("more", small), a_job("whole", a_fit("a"))], crowded)
    assert [(row.run_id, row.device) for row in more] == [("more", 1)]


@given(st.integers(2, 8), st.integers(1, 4))
def test_a_shared_gpu_is_held_until_the_last_has_ended(runs: int, gpus: int) -> None:
    small = on_part(a_fit("a"), 8)
    jobs = [a_job(str(n), replace(small, hours=1.0 + n)) for n in range(runs)]
    ahead = look_ahead([*jobs, a_job("whole", a_fit("a", 0.5, gpus))], a_cluster(a=gpus))
    whole = next(row for row in ahead if row.placement.run_id == "whole")
    beside = [row for row in ahead if row.placement.device is not None]
    assert all(row.end <= whole.start or whole.end <= row.start for row in beside)


def test_the_caps_file_that_is_shipped_is_one() -> None:
    caps = load_caps(Path(__file__).parents[3] / "configs" / "caps.json")
    assert caps.of("ci", "ablation_studies@laptop")[1] == Cap("suite ablation_studies@laptop", 8)


@given(queues(), clusters(), st.integers(0, 8))
def test_beyond_a_depth_only_those_start_that_delay_none_before_it(
    jobs: list[Job], cluster: Cluster, depth: int
) -> None:
    jobs = [replace(job, submitted=0.25 * place) for place, job in enumerate(jobs)]
    whole = {row.placement.run_id: row for row in look_ahead(jobs, cluster)}
    order = [job.run_id for turn in in_turns(_as_seen(jobs, cluster)) for job in turn]
    cut = look_ahead(jobs, cluster, depth)
    found = {row.placement.run_id: row for row in cut}
    assert {name: found[name] for name in order[:depth]} == {
        name: whole[name] for name in order[:depth]
    }
    assert all(found[name].start <= 0.0 for name in order[depth:] if name in found)
    placed = [job for job in jobs if job.run_id in found]
    check(cut, placed, cluster)


def _as_seen(jobs: list[Job], cluster: Cluster) -> list[Job]:
    """Jobs with the fits that the cluster could hold."""
    fits = [tuple(fit for fit in job.fits if could_hold(cluster, fit)) for job in jobs]
    return [replace(job, fits=held) for job, held in zip(jobs, fits, strict=True) if held]


def test_beyond_the_depth_a_free_gpu_is_filled_and_a_full_cluster_left_alone() -> None:
    gang = replace(a_job("gang", a_fit("a", 9.0, 4)), submitted=-100.0)
    held = Running(placement=Placement(run_id="r", fit=a_fit("a"), nodes=("a-1",)), hours=2.0)
    cluster = replace(a_cluster(a=4), running=(held,))
    fits = (a_fit("a", 2.0),)
    short = [Job(run_id=f"s{n}", fits=fits, submitted=9.0 + n) for n in range(5)]
    long = replace(a_job("long", a_fit("a", 3.0)), submitted=7.0)
    row = look_ahead([gang, long, *short], cluster, 1)
    assert [found.placement.run_id for found in row] == ["s0", "s1", "s2", "gang"]
    shared = [replace(job, fits=(on_part(fits[0], 2),)) for job in short]
    row = look_ahead([gang, *shared], cluster, 1)
    assert [found.placement.device for found in row] == [None]
    assert look_ahead(short, replace(a_cluster(a=1), running=(held,)), 0) == ()


def test_a_cap_is_full_where_it_leaves_no_room() -> None:
    cap, other = Cap("user ann", 4), Cap("suite x", 8)
    placement = Placement(run_id="r", fit=a_fit("a", workers=3))
    running = [Running(placement=placement, hours=1.0, caps=(cap, other))]
    job = replace(a_job("j", a_fit("a", workers=2)), caps=(cap, other))
    assert full_caps(job, running) == ((cap, 3),)
    assert full_caps(replace(job, fits=(a_fit("a"),)), running) == ()
