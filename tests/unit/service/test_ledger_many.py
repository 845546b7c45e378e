"""Many runs at once: what a step of the controller starts, ends and reads in one transaction."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState, TransitionError
from ntlbg_service.ledger.integrity import check
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.ledger.records import Attempt, End, Measured, NewAttempt
from tests.support.builders import SUITE, Ticks, cpu_fit, new_run, tiny_config

FIT = cpu_fit(tiny_config())
SMALLER = replace(FIT, micro_batch=1)


def submitted(ledger: Ledger, number: int) -> tuple[str, ...]:
    return ledger.submit(SUITE, [new_run(seed=seed) for seed in range(number)]).new


def wanted(run_id: str) -> NewAttempt:
    return NewAttempt(
        run_id=run_id, fit=FIT, resume_from=None, executor="local", reason="on cpu", nodes=("n",)
    )


def started(ledger: Ledger, run_ids: tuple[str, ...]) -> dict[str, Attempt]:
    return {each.run_id: each for each in ledger.start_attempts([wanted(one) for one in run_ids])}


def test_those_that_wait_start_and_the_others_are_left_out(ledger: Ledger, engine: Engine) -> None:
    first, second, third = submitted(ledger, 3)
    ledger.request(second, DesiredState.CANCEL, "ada")
    made = started(ledger, (third, second, first))
    assert list(made) == [third, first]
    assert ledger.attempts_by_run([first, second, third]) == {
        first: (made[first],),
        second: (),
        third: (made[third],),
    }
    assert [event.message for event in ledger.events_of(first)] == ["queued", "attempt 1: on cpu"]
    told = [(entry.topic, entry.run_id) for entry in ledger.unsent()]
    assert sorted(told) == sorted(("run_started", run_id) for run_id in (first, third))
    assert started(ledger, (first,)) == {}
    assert check(engine).problems == ()


def test_attempts_of_one_run_are_counted_on(ledger: Ledger) -> None:
    (run_id,) = submitted(ledger, 1)
    for number in (1, 2, 3):
        attempt = started(ledger, (run_id,))[run_id]
        assert attempt.number == number
        ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED)
    assert len(ledger.unsent()) == 2  # The same again is counted up, not repeated.


def test_ends_of_every_kind_are_written_together(ledger: Ledger, engine: Engine) -> None:
    ids = submitted(ledger, 4)
    done, again, unwanted, broken = ids
    made = started(ledger, ids)
    ledger.request(unwanted, DesiredState.CANCEL, "ada")
    lost = End(attempt=made[again], state=AttemptState.LOST, run_state=RunState.QUEUED)
    ends = [
        End(
            attempt=made[done],
            state=AttemptState.FINISHED,
            run_state=RunState.FINISHED,
            measured=Measured(peak_mib=3.5, finished_steps=4),
        ),
        replace(lost, message="gone", next_fit=SMALLER, not_before=7.0, exclude=("n", "n")),
        replace(lost, attempt=made[unwanted], reason="why"),
        End(
            attempt=made[broken],
            state=AttemptState.FAILED,
            run_state=RunState.FAILED,
            failure=FailureClass.BUG,
        ),
    ]
    assert ledger.end_attempts(ends) == ("finished", "queued", "cancelled", "failed")
    assert ledger.attempts_of(done)[0].measured == Measured(peak_mib=3.5, finished_steps=4)
    assert ledger.attempts_of(broken)[0].failure is FailureClass.BUG
    waits = ledger.run(again)
    assert (waits.next_fit, waits.not_before, waits.excluded) == (SMALLER, 7.0, ("n",))
    assert ledger.run(done).next_fit is None
    assert [event.kind for event in ledger.events_of(unwanted)][-2:] == ["lost", "cancelled"]
    topics = {entry.run_id: entry.topic for entry in ledger.unsent() if entry.id > len(ids)}
    assert topics == {
        again: "run_metrics",
        **dict.fromkeys((done, unwanted, broken), "run_finished"),
    }
    last = started(ledger, (again,))[again]
    ledger.end_attempt(last, AttemptState.FINISHED, RunState.FINISHED)
    assert ledger.unsent()[-1].topic == "suite_finished"
    assert not ledger.going() and not ledger.going("s")
    assert check(engine).problems == ()


def test_where_one_has_ended_already_none_is_written(ledger: Ledger) -> None:
    first, second = submitted(ledger, 2)
    made = started(ledger, (first, second))
    ledger.end_attempt(made[first], AttemptState.LOST, RunState.QUEUED)
    (more,) = started(ledger, (first,)).values()
    ends = [
        End(attempt=each, state=AttemptState.FINISHED, run_state=RunState.FINISHED)
        for each in (made[second], made[first])
    ]
    with pytest.raises(TransitionError, match=f"attempt 1 of run {first} has ended"):
        ledger.end_attempts(ends)
    assert {each.run_id for each in ledger.active_attempts()} == {more.run_id, second}
    assert ledger.run(second).state is RunState.RUNNING


def test_the_queue_is_who_may_start_now_in_order(ledger: Ledger) -> None:
    ids = submitted(ledger, 5)
    ledger.request(ids[1], DesiredState.PAUSE, "ada")
    ledger.prioritise(ids[3], 2, "ada")
    attempt = started(ledger, ids[:1])[ids[0]]
    ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED, not_before=900.0)
    assert [each.run_id for each in ledger.in_queue(899.0)] == [ids[3], ids[2], ids[4]]
    assert [each.run_id for each in ledger.in_queue(900.0, "s")] == [ids[3], ids[0], *ids[2:5:2]]
    assert ledger.in_queue(900.0, "other") == ()
    assert ledger.count(RunFilter(states=[RunState.QUEUED])) == {RunState.QUEUED: 5}
    assert ledger.going("s") and not ledger.going("other")


def test_runs_with_the_same_fits_share_them(ledger: Ledger) -> None:
    first, second, third = submitted(ledger, 3)
    attempt = started(ledger, (third,))[third]
    ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED, next_fit=SMALLER)
    found = ledger.waiting([third, second, "unknown", first])
    assert found[first].fits is found[second].fits
    assert (found[first].fits, found[third].fits) == ((FIT,), (SMALLER,))
    assert found[first].label == ledger.run(first).label
    states = ledger.states([first, "unknown", third])
    assert states == {first: RunState.QUEUED, third: RunState.QUEUED}
    assert ledger.runs([second, "unknown"]) == {second: ledger.run(second)}


def test_names_of_a_suite_are_its_own(ledger: Ledger) -> None:
    submitted(ledger, 2)
    other = replace(new_run(), identity=replace(new_run().identity, suite="other"))
    (mine,) = ledger.submit(replace(SUITE, key="other"), [other]).new
    assert [name.run_id for name in ledger.names("other")] == [mine]
    assert len(ledger.names()) == 3


def test_changed_runs_are_submitted_while_others_start(engine: Engine) -> None:
    """Both want several rows: neither waits for the other for good, and what started in time is
    not cancelled as superseded."""
    ledger = Ledger(engine, Ticks())
    submitted(ledger, 24)

    def submit(number: int) -> None:
        ledger.submit(SUITE, [new_run(seed=seed, code=f"c{number}") for seed in range(24)])

    def start(_: int) -> int:
        ids = [each.run_id for each in ledger.in_queue(1e9)]
        made = ledger.start_attempts([wanted(run_id) for run_id in reversed(ids[::3])])
        ends = [
            End(attempt=each, state=AttemptState.LOST, run_state=RunState.QUEUED) for each in made
        ]
        return len(ledger.end_attempts(ends)) if ends else 0

    with ThreadPoolExecutor(2) as pool:
        submitting = pool.submit(lambda: [submit(number) for number in range(2, 14)])
        starting = pool.submit(lambda: sum(start(number) for number in range(20)))
        submitting.result()
        assert starting.result() > 0
    assert check(engine).problems == ()
