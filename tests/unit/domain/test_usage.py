"""GPU-hours: the parts add up, and each hour is wasted by what ended its work."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import TERMINAL, AttemptState, RunState
from ntlbg_service.domain.usage import WORDS, AttemptInterval, By, Origin, Used, added, usage

HOUR = 3600.0


def spell(number: int = 1, **values: object) -> AttemptInterval:
    """An hour on two GPUs, from the hour of its number on."""
    made = AttemptInterval(
        run_id="r",
        number=number,
        user="ada",
        suite="s",
        run_state=RunState.FINISHED,
        state=AttemptState.FINISHED,
        failure=None,
        gpus=2.0,
        started=number * HOUR,
        ended=(number + 1) * HOUR,
    )
    return replace(made, **values)  # type: ignore[arg-type]


def lost(number: int = 1, failure: str = "infrastructure", **values: object) -> AttemptInterval:
    """The same, not finished."""
    ended = {"state": AttemptState.LOST, "failure": FailureClass(failure)}
    return spell(number, **(ended | values))


def resumed(number: int, attempt: int, step: int, run_id: str = "r") -> dict[str, object]:
    """What an attempt has that goes on from another."""
    return {"origin": Origin(run_id, attempt, step)}


def whole(
    *attempt_intervals: AttemptInterval, now: float = 100 * HOUR, since: float | None = None
) -> Used:
    """All of it."""
    return added(usage(attempt_intervals, By.USER, now, since).values())


def test_what_finished_is_useful() -> None:
    assert whole(spell()) == Used(hours=2, useful=2, runs=1, attempts=1)


def test_what_runs_counts_up_to_now() -> None:
    running = spell(state=AttemptState.LAUNCHED, ended=None, run_state=RunState.RUNNING)
    assert whole(running, now=1.5 * HOUR) == Used(hours=1, running=1, runs=1, attempts=1)
    assert whole(running, now=0.5 * HOUR).hours == 0


@pytest.mark.parametrize("failure", FailureClass)
def test_without_a_checkpoint_all_is_wasted_by_what_ended_it(failure: FailureClass) -> None:
    used = whole(lost(1, failure), spell(2))
    assert (used.useful, used.wasted, used.redone) == (2, {failure.value: 2}, 0)


def test_steps_after_the_checkpoint_are_wasted_and_the_rest_is_useful() -> None:
    first = lost(1, steps=100)
    second = lost(2, "out_of_memory", steps=90, **resumed(2, 1, 75))
    third = spell(3, **resumed(3, 2, 80))
    used = whole(first, second, third)
    assert used.useful == pytest.approx(2 * 0.75 + 2 * 5 / 15 + 2)
    assert used.wasted == pytest.approx({"infrastructure": 0.5, "out_of_memory": 2 * 10 / 15})
    assert used.redone == pytest.approx(used.lost)


def test_how_far_it_came_may_not_be_known() -> None:
    used = whole(lost(1), spell(2, **resumed(2, 1, 75)))
    assert (used.useful, used.lost) == (4, 0)


def test_what_a_run_took_along_is_wasted_by_what_ended_the_run() -> None:
    failed = {"run_state": RunState.FAILED}
    used = whole(lost(1, steps=100, **failed), lost(2, "bug", **failed, **resumed(2, 1, 75)))
    assert used.useful == 0
    assert used.wasted == {"infrastructure": 0.5, "bug": 3.5}


def test_a_cancelled_run_is_wasted_by_that() -> None:
    values = {"run_state": RunState.CANCELLED, "state": AttemptState.INTERRUPTED}
    used = whole(lost(1, "interrupted", **values), lost(2, "bug", run_state=RunState.CANCELLED))
    assert used.wasted == {"bug": 2, "cancelled": 2}


def test_what_waits_goes_on_from_its_checkpoint() -> None:
    paused = lost(1, "interrupted", run_state=RunState.QUEUED, steps=100)
    assert whole(paused).wasted == {"interrupted": 2}
    used = whole(replace(paused, kept=50))
    assert (used.useful, used.wasted, used.redone) == (1, {"interrupted": 1}, 1)


def test_a_run_that_goes_on_with_another_makes_it_useful() -> None:
    spent = lost(1, "time_limit", run_state=RunState.FAILED, steps=40)
    assert whole(spent).wasted == {"time_limit": 2}
    more = spell(2, run_id="q", **resumed(2, 1, 40))
    assert whole(spent, replace(more, number=1)).lost == 0


def test_only_what_lies_after_a_moment_counts() -> None:
    used = whole(lost(1), spell(2), since=1.5 * HOUR)
    assert (used.hours, used.useful, used.wasted) == (3, 2, {"infrastructure": 1})


def test_hours_are_added_up_by_user_suite_or_state_the_most_first() -> None:
    attempt_intervals = [
        spell(1),
        spell(1, run_id="q", user="bob", suite="t", gpus=8.0),
        lost(1, run_id="p", suite="t", run_state=RunState.LOST),
    ]
    now = 9 * HOUR
    by_user = usage(attempt_intervals, By.USER, now)
    assert {name: used.hours for name, used in by_user.items()} == {"bob": 8, "ada": 4}
    assert list(by_user) == ["bob", "ada"]
    assert by_user["ada"].runs == 2
    assert {name: used.lost for name, used in usage(attempt_intervals, By.SUITE, now).items()} == {
        "t": 2,
        "s": 0,
    }
    assert set(usage(attempt_intervals, By.STATE, now)) == {"finished", "lost"}


STEPS = st.none() | st.integers(0, 100)


@st.composite
def histories(draw: st.DrawFn) -> list[AttemptInterval]:
    """Runs of a few attempts, each from any checkpoint before it, in whatever state."""
    attempt_intervals: list[AttemptInterval] = []
    for run in range(draw(st.integers(1, 4))):
        state = draw(st.sampled_from(list(RunState)))
        for number in range(1, draw(st.integers(1, 5)) + 1):
            before = (
                draw(st.none() | st.sampled_from(attempt_intervals)) if attempt_intervals else None
            )
            ended = draw(st.none() | st.floats(0, 50))
            started = draw(st.floats(0, 50))
            attempt_intervals.append(
                AttemptInterval(
                    run_id=f"r{run}",
                    number=number,
                    user=draw(st.sampled_from(["ada", "bob"])),
                    suite=draw(st.sampled_from(["s", "t"])),
                    run_state=state,
                    state=draw(st.sampled_from(list(AttemptState))),
                    failure=draw(st.none() | st.sampled_from(list(FailureClass))),
                    gpus=draw(st.sampled_from([0.25, 1.0, 8.0])),
                    started=started,
                    ended=None if ended is None else started + ended,
                    origin=before
                    and Origin(before.run_id, before.number, draw(st.integers(0, 100))),
                    steps=draw(STEPS),
                    kept=None if state in TERMINAL else draw(STEPS),
                )
            )
    return attempt_intervals


@given(
    attempt_intervals=histories(),
    by=st.sampled_from(list(By)),
    now=st.floats(0, 120),
    since=st.none() | st.floats(0, 120),
)
def test_the_parts_add_up_to_the_whole(
    attempt_intervals: list[AttemptInterval], by: By, now: float, since: float | None
) -> None:
    rows = usage(attempt_intervals, by, now, since)
    for used in (*rows.values(), added(rows.values())):
        assert math.isclose(used.hours, used.useful + used.running + used.lost, abs_tol=1e-9)
        parts = (used.useful, used.running, used.redone, *used.wasted.values())
        assert all(part >= -1e-9 for part in parts)
        assert used.redone <= used.lost + 1e-9
        assert set(used.wasted) <= set(WORDS)
    held = [
        (min(now, math.inf if each.ended is None else each.ended) - max(each.started, since or 0))
        * each.gpus
        for each in attempt_intervals
    ]
    total = sum(max(hours, 0.0) for hours in held) / HOUR
    assert math.isclose(sum(used.hours for used in rows.values()), total, abs_tol=1e-9)
    assert sum(used.attempts for used in rows.values()) == sum(hours > 0 for hours in held)
