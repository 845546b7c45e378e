"""What is tried again, how, how often, and what is not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.fitting.fallbacks import OomFallback, next_fit
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.profiles import CPU, PROFILES, NodeShape
from ntlbg_service.domain.recovery import (
    FIRST_WAIT_SECONDS,
    HOST_RETRIES,
    JITTER,
    LONGEST_WAIT_SECONDS,
    LOSSES,
    RETRIES,
    RUNGS,
    Decision,
    Ended,
    FailureClass,
    Hours,
    decide,
    wait_seconds,
)
from tests.support.builders import cpu_fit, tiny_config

LOST = Ended(failure=FailureClass.INFRASTRUCTURE)
STOPPED = Ended(failure=FailureClass.INTERRUPTED)
FAILURES = st.builds(
    Ended,
    failure=st.sampled_from(FailureClass),
    nodes=st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True).map(tuple),
    steps=st.integers(0, 3),
    on_cpu=st.booleans(),
)


def endless() -> OomFallback:
    return OomFallback(fit=cpu_fit(tiny_config()), reason="less")


@pytest.mark.parametrize("failure", [FailureClass.USER, FailureClass.NON_FINITE, FailureClass.BUG])
def test_what_would_repeat_itself_is_not_tried_again(failure: FailureClass) -> None:
    decision = decide([Ended(failure=failure)], climb=endless)
    assert not decision.retry
    assert decision.reason


def test_losses_without_progress_are_retried_so_often() -> None:
    retried = [decide([LOST] * n).retry for n in range(1, RETRIES + 2)]
    assert retried == [True] * RETRIES + [False]
    first = decide([LOST]).reason
    assert first == "lost to the infrastructure (1 of 3 allowed without progress)"
    last = decide([LOST] * 4).reason
    assert last == "lost to the infrastructure 4 times without progress, 3 are allowed"


def test_progress_counts_anew_but_not_for_ever() -> None:
    going = [replace(LOST, steps=step) for step in range(1, LOSSES + 2)]
    assert all(decide(going[:n]).retry for n in range(1, LOSSES + 1))
    assert not decide(going).retry


@given(st.lists(FAILURES))
def test_an_interruption_always_goes_on_and_costs_nothing(before: list[Ended]) -> None:
    assert decide([*before, STOPPED]).retry
    counted = decide([*before, LOST]).retry
    assert decide([*before, STOPPED, LOST]).retry is counted


@given(st.lists(FAILURES, min_size=1), st.booleans())
def test_every_history_has_a_decision_in_words(history: list[Ended], held: bool) -> None:
    decision = decide(history, climb=endless, holds=lambda _: held)
    assert decision.reason
    assert decision.retry or decision == Decision(retry=False, reason=decision.reason)
    assert held or not decision.exclude


@given(st.data())
def test_whatever_happens_it_ends(data: st.DataObject) -> None:
    """Drawn from what the service does not do itself: an interruption is a person's wish."""
    happens = FAILURES.filter(lambda ended: ended.failure is not FailureClass.INTERRUPTED)
    favourite = data.draw(happens)
    history: list[Ended] = []
    most = LOSSES + RUNGS + HOST_RETRIES + 1
    while len(history) <= most:
        history.append(data.draw(st.one_of(st.just(favourite), happens)))
        if not decide(history, climb=endless, holds=lambda _: True).retry:
            break
    assert len(history) <= most


@given(st.integers(1, 60), st.text(max_size=12))
def test_waits_double_up_to_a_limit_and_repeat(losses: int, seed: str) -> None:
    plain = min(FIRST_WAIT_SECONDS * 2 ** (losses - 1), LONGEST_WAIT_SECONDS)
    wait = wait_seconds(losses, seed)
    assert (1 - JITTER) * plain <= wait <= (1 + JITTER) * plain
    assert wait == wait_seconds(losses, seed)


def test_runs_lost_together_do_not_come_back_together() -> None:
    assert len({wait_seconds(1, f"run-{number}") for number in range(50)}) == 50


def test_a_node_that_lost_it_twice_is_left_out_where_others_hold_it() -> None:
    once = replace(LOST, nodes=("a",))
    assert decide([once]).exclude == frozenset()
    assert decide([once, once]).exclude == {"a"}
    assert "twice on a" in decide([once, once]).reason
    assert decide([once, once], holds=lambda _: False).exclude == frozenset()


def test_a_node_whose_copy_failed_its_check_is_left_out_at_once() -> None:
    checked = replace(LOST, nodes=("a", "b"), suspects=("b",))
    decision = decide([checked])
    assert (decision.retry, decision.exclude) == (True, {"b"})
    assert "a copy failed its check on b: elsewhere from now on" in decision.reason
    assert decide([checked], holds=lambda _: False).exclude == frozenset()


def test_a_host_memory_kill_wants_a_node_with_more_memory_and_no_rung() -> None:
    killed = Ended(failure=FailureClass.HOST_MEMORY, nodes=("small",))
    nodes = {"small": 64.0, "alike": 64.0, "large": 512.0}
    decision = decide([killed], climb=endless, host_gib=nodes)
    assert (decision.retry, decision.exclude) == (True, {"small", "alike"})
    assert decision.fit is None
    alone = decide([killed], climb=endless, host_gib={"small": 64.0}, holds=lambda _: False)
    assert (alone.retry, alone.exclude) == (True, frozenset())
    assert not decide([killed] * (HOST_RETRIES + 1), climb=endless, host_gib=nodes).retry


def test_on_a_cpu_the_node_s_memory_is_the_device_s() -> None:
    killed = Ended(failure=FailureClass.HOST_MEMORY, on_cpu=True)
    assert decide([killed], climb=endless).fit is not None


def climber(failed: Fit, seen: list[Fit]) -> Callable[[], OomFallback | None]:
    profile = CPU if failed.profile == "cpu" else PROFILES[failed.profile]

    def climb() -> OomFallback | None:
        rung = next_fit(
            tiny_config(global_batch=32),
            failed,
            profile,
            NodeShape(cores=16, host_memory_gib=512, gpus=8),
        )
        if rung is not None:
            seen.append(rung.fit)
        return rung

    return climb


def test_the_ladder_is_climbed_to_its_end_with_the_same_global_batch() -> None:
    seen = [replace(cpu_fit(tiny_config(global_batch=32)), micro_batch=32, accumulation=1)]
    history: list[Ended] = []
    while True:
        history.append(Ended(failure=FailureClass.OUT_OF_MEMORY, on_cpu=True))
        decision = decide(history, climb=climber(seen[-1], seen))
        if not decision.retry:
            break
        assert decision.fit is not None
    assert 1 < len(seen) <= RUNGS + 1
    assert {fit.micro_batch * fit.accumulation * fit.workers for fit in seen} == {32}
    peaks = [fit.predicted_gib for fit in seen[1:]]
    assert peaks == sorted(peaks, reverse=True)


@pytest.mark.parametrize(
    ("used", "most", "retry"), [(1.9, 2.0, True), (2.0, 2.0, False), (9.0, None, True)]
)
def test_a_run_that_used_its_hours_gets_no_further_attempt(
    used: float, most: float | None, retry: bool
) -> None:
    for ended in (LOST, STOPPED, Ended(failure=FailureClass.OUT_OF_MEMORY)):
        decision = decide([ended], climb=endless, hours=Hours(used=used, most=most))
        assert decision.retry is retry
        if not retry:
            assert decision.reason == "used its 2 h"
            assert decision.failure is FailureClass.TIME_LIMIT


def test_what_would_repeat_itself_keeps_its_own_reason_when_the_hours_are_used() -> None:
    spent = Hours(used=3.0, most=2.0)
    ended = [Ended(failure=FailureClass.USER)]
    assert decide(ended, hours=spent) == decide(ended)
    assert (spent.words, Hours(used=3.0).words) == ("3 of 2 h used", "")


def test_time_that_is_up_is_no_loss() -> None:
    limit = Ended(failure=FailureClass.TIME_LIMIT)
    assert not decide([limit]).retry
    assert decide([limit, LOST]).reason == decide([LOST]).reason
