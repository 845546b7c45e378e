"""The ledger: durable, idempotent, and honest about what changed."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.states import AttemptState, RunState, TransitionError
from ntlbg_service.ledger.database import HEAD, open_database
from ntlbg_service.ledger.tables import metadata
from tests.builders import SUITE, cpu_fit, new_ledger, new_run, tiny_config


def test_migrations_and_tables_are_equal(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    new_ledger(tmp_path).submit(SUITE, [new_run()])
    assert len(new_ledger(tmp_path).queued()) == 1


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is not a database, it is a shopping list " * 50)
    with pytest.raises(InfrastructureError, match="not a database"):
        open_database(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_submitting_the_same_again_changes_nothing(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    first = ledger.submit(SUITE, [new_run(), new_run("uniform")])
    again = ledger.submit(SUITE, [new_run(), new_run("uniform")])
    assert len(first.new) == 2
    assert again.new == ()
    assert again.known == first.new
    assert [run.run_id for run in ledger.current_runs("s")] == list(first.new)


def test_changed_code_is_another_run_and_is_said(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    (old,) = ledger.submit(SUITE, [new_run()]).new
    done = ledger.submit(SUITE, [new_run(code="c2", data="d2")])
    assert done.changed[done.new[0]] == ("data", "code")
    assert done.superseded == (old,)
    assert ledger.run(old).state is RunState.CANCELLED
    assert [run.run_id for run in ledger.current_runs("s")] == list(done.new)


def test_a_finished_run_is_not_superseded(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    (old,) = ledger.submit(SUITE, [new_run()]).new
    attempt = ledger.start_attempt(ledger.run(old), cpu_fit(tiny_config()), None, "simulated", "")
    ledger.end_attempt(attempt, AttemptState.FINISHED, RunState.FINISHED)
    done = ledger.submit(SUITE, [new_run(code="c2")])
    assert done.superseded == ()
    assert ledger.run(old).state is RunState.FINISHED


@pytest.mark.parametrize("state", [RunState.FINISHED, RunState.FAILED])
def test_terminal_states_never_change(tmp_path: Path, state: RunState) -> None:
    ledger = new_ledger(tmp_path)
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    fit = cpu_fit(tiny_config())
    attempt = ledger.start_attempt(ledger.run(run_id), fit, None, "simulated", "")
    ledger.end_attempt(attempt, AttemptState.FINISHED, state)
    with pytest.raises(TransitionError):
        ledger.start_attempt(ledger.run(run_id), fit, None, "simulated", "")
    with pytest.raises(TransitionError):
        ledger.cancel(run_id, "late")
    assert ledger.run(run_id).state is state
    assert len(ledger.attempts_of(run_id)) == 1


def test_events_tell_the_story(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    fit = cpu_fit(tiny_config())
    attempt = ledger.start_attempt(ledger.run(run_id), fit, None, "simulated", "on cpu")
    ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED, message="gone")
    assert [event.kind for event in ledger.events_of(run_id)] == ["submitted", "launched", "lost"]
    assert "gone" in ledger.events_of(run_id)[-1].message


def test_the_outbox_keeps_order_and_repeats_nothing(tmp_path: Path) -> None:
    ledger = new_ledger(tmp_path)
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
