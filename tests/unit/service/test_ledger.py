"""The ledger: durable, idempotent, and honest about what changed."""

from dataclasses import replace

import pytest

from ntlbg_model.config import Config
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState, TransitionError
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Measured
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, cpu_fit, new_run, open_test_ledger, tiny_config


def test_opening_twice_keeps_what_is_there(ledger: Ledger, ledger_url: str) -> None:
    ledger.submit(SUITE, [new_run()])
    again = open_test_ledger(ledger_url)
    assert len(again.queued()) == 1
    again.close()


def test_submitting_the_same_again_changes_nothing(ledger: Ledger) -> None:
    first = ledger.submit(SUITE, [new_run(), new_run("uniform")])
    again = ledger.submit(SUITE, [new_run(), new_run("uniform")])
    assert len(first.new) == 2
    assert again.new == ()
    assert again.known == first.new
    assert [run.run_id for run in ledger.current_runs("s")] == list(first.new)


def test_changed_code_is_another_run_and_is_said(ledger: Ledger) -> None:
    (old,) = ledger.submit(SUITE, [new_run()]).new
    done = ledger.submit(SUITE, [new_run(code="c2", data="d2")])
    assert done.changed[done.new[0]] == ("data", "code")
    assert done.superseded == (old,)
    assert ledger.run(old).state is RunState.CANCELLED
    assert [run.run_id for run in ledger.current_runs("s")] == list(done.new)


def test_a_finished_run_is_not_superseded(ledger: Ledger) -> None:
    (old,) = ledger.submit(SUITE, [new_run()]).new
    attempt = start_attempt(ledger, ledger.run(old), cpu_fit(tiny_config()), None, "simulated", "")
    ledger.end_attempt(attempt, AttemptState.FINISHED, RunState.FINISHED)
    done = ledger.submit(SUITE, [new_run(code="c2")])
    assert done.superseded == ()
    assert ledger.run(old).state is RunState.FINISHED


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.FAILED])
def test_terminal_states_never_change(ledger: Ledger, state: RunState) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    fit = cpu_fit(tiny_config())
    attempt = start_attempt(ledger, ledger.run(run_id), fit, None, "simulated", "")
    ledger.end_attempt(attempt, AttemptState.FINISHED, state)
    with pytest.raises(TransitionError):
        start_attempt(ledger, ledger.run(run_id), fit, None, "simulated", "")
    with pytest.raises(TransitionError):
        ledger.cancel(run_id, "late")
    assert ledger.run(run_id).state is state
    assert len(ledger.attempts_of(run_id)) == 1


def test_events_tell_the_story(ledger: Ledger) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    fit = cpu_fit(tiny_config())
    attempt = start_attempt(ledger, ledger.run(run_id), fit, None, "simulated", "on cpu")
    ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED, message="gone")
    assert [event.kind for event in ledger.events_of(run_id)] == ["submitted", "launched", "lost"]
    assert "gone" in ledger.events_of(run_id)[-1].message


def test_the_outbox_keeps_order_and_repeats_nothing(ledger: Ledger) -> None:
    ledger.post("run_metrics", "s", "r1")
    ledger.post("run_metrics", "s", "r1")
    ledger.post("suite_finished", "s")
    first, second = ledger.unsent()
    assert (first.topic, second.topic) == ("run_metrics", "suite_finished")
    ledger.not_sent(first, "no answer")
    assert ledger.unsent()[0].id == first.id
    ledger.sent(first)
    assert [entry.id for entry in ledger.unsent()] == [second.id]
    ledger.post("run_metrics", "s", "r1")
    assert len(ledger.unsent()) == 2


def test_what_somebody_wants_cancelled_does_not_wait_again(ledger: Ledger) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    attempt = start_attempt(ledger, ledger.run(run_id), cpu_fit(tiny_config()), None, "local", "")
    assert ledger.request(run_id, DesiredState.CANCEL, "ada") is RunState.RUNNING
    assert ledger.run(run_id).wanted is DesiredState.CANCEL
    assert ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED) is RunState.CANCELLED
    assert ledger.queued() == ()
    kinds = [event.kind for event in ledger.events_of(run_id)]
    assert kinds == ["submitted", "launched", "requested", "lost", "cancelled"]


def test_what_recovery_decided_is_kept_until_it_decides_again(ledger: Ledger) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    fit = cpu_fit(tiny_config())
    for nodes in (["n1"], ["n2", "n1"]):
        attempt = start_attempt(ledger, ledger.run(run_id), fit, None, "local", "", nodes)
        ledger.end_attempt(
            attempt,
            AttemptState.LOST,
            RunState.QUEUED,
            next_fit=fit if nodes == ["n1"] else None,
            not_before=50.0,
            exclude=nodes,
            measured=Measured(peak_mib=10.5),
        )
    run = ledger.run(run_id)
    assert (run.next_fit, run.not_before, run.excluded) == (fit, 50.0, ("n1", "n2"))
    assert ledger.attempts_of(run_id)[1].nodes == ("n2", "n1")
    assert ledger.attempts_of(run_id)[0].measured == Measured(peak_mib=10.5)


def test_a_higher_priority_goes_first(ledger: Ledger) -> None:
    urgent = replace(new_run("uniform"), priority=5)
    ids = ledger.submit(SUITE, [new_run(), urgent]).new
    assert [run.run_id for run in ledger.queued()] == [ids[1], ids[0]]


def test_the_first_drain_of_a_node_stands_until_it_is_taken_back(ledger: Ledger) -> None:
    assert ledger.drain("n1", "ada", "a fan")
    assert not ledger.drain("n1", "bob")
    assert ledger.drain("n2", "bob")
    drained = ledger.drained()
    assert [(row.node, row.who, row.reason) for row in drained.values()] == [
        ("n1", "ada", "a fan"),
        ("n2", "bob", ""),
    ]
    assert ledger.undrain("n1", "ada")
    assert not ledger.undrain("n1", "ada")
    assert list(ledger.drained()) == ["n2"]


def test_a_config_of_an_earlier_version_is_read_under_the_names_of_today(ledger: Ledger) -> None:
    new = new_run()
    selection = dict(new.config["selection"])
    selection["stand_out"] = selection.pop("min_prominence") + 1
    kept = {**new.config, "selection": selection}
    (run_id,) = ledger.submit(SUITE, [replace(new, config=kept)]).new
    config = parse(Config, ledger.run(run_id).config, "ledger")
    assert config.selection.min_prominence == selection["stand_out"]
