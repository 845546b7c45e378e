"""The ledger's schema: tables and migrations are equal, and every released one is brought along."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.database import create_database_engine, open_database, parse_url
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.schema import HEAD, revision, revisions, upgrade
from ntlbg_service.ledger.tables import metadata
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Ticks, cpu_fit, new_run, tiny_config


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    """An empty database without a schema."""
    made = create_database_engine(parse_url(ledger_url))
    yield made
    made.dispose()


def at(engine: Engine, schema: str) -> None:
    """Bring an empty database to a released schema."""
    with engine.begin() as connection:
        upgrade(connection, schema)


def fill_0001(connection: Connection) -> None:
    """What the first release left: runs finished, at work and waiting, a word for MLflow."""
    fit = json.dumps(asdict(cpu_fit(tiny_config())))
    connection.execute(text("INSERT INTO suites VALUES ('s', 's', '', 'ada', 1.0, '{}')"))
    for seed, state in enumerate(("finished", "running", "queued"), start=1):
        run = new_run(seed=seed)
        connection.execute(
            text(
                "INSERT INTO runs VALUES (:id, 's', 'train', 'g', 'ntlbg', :seed, 0, :state, '', "
                "1, :seed, :identity, :config, :fits, '{}', 2.0, 3.0)"
            ),
            {
                "id": f"run{seed}",
                "seed": seed,
                "state": state,
                "identity": json.dumps(asdict(run.identity)),
                "config": json.dumps(run.config),
                "fits": f"[{fit}]",
            },
        )
        connection.execute(
            text("INSERT INTO events (time, run_id, kind, message) VALUES (2.0, :id, 'a', 'b')"),
            {"id": f"run{seed}"},
        )
    for run_id, state, ended in (("run1", "finished", 9.0), ("run2", "launched", None)):
        connection.execute(
            text("INSERT INTO attempts VALUES (:id, 1, :state, :fit, NULL, NULL, '', 4.0, :ended)"),
            {"id": run_id, "state": state, "fit": fit, "ended": ended},
        )
        connection.execute(
            text("INSERT INTO launches VALUES (:launch, :id, 1, 'local', 4.0)"),
            {"launch": f"{run_id}-0001", "id": run_id},
        )
    connection.execute(
        text(
            "INSERT INTO outbox (topic, suite_key, run_id, created_at, sent_at, tries, error) "
            "VALUES ('run_finished', 's', 'run1', 9.0, NULL, 2, 'no answer')"
        )
    )


def test_migrations_and_tables_are_equal(ledger_url: str) -> None:
    engine = open_database(ledger_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == HEAD
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_schema_is_the_head() -> None:
    assert revisions()[-1] == HEAD


def test_what_the_first_release_left_goes_on(engine: Engine, ledger_url: str) -> None:
    at(engine, "0001")
    with engine.begin() as connection:
        fill_0001(connection)
    ledger = Ledger(open_database(ledger_url, migrate=True), Ticks())
    states = [run.state for run in ledger.current_runs("s")]
    assert states == [RunState.FINISHED, RunState.RUNNING, RunState.QUEUED]
    waiting = ledger.run("run3")
    assert (waiting.priority, waiting.wanted, waiting.not_before) == (0, DesiredState.RUN, 0.0)
    assert (waiting.excluded, waiting.next_fit, waiting.max_hours) == ((), None, None)
    assert {run.submitter for run in ledger.current_runs("s")} == {"ada"}
    assert [event.who for event in ledger.events_of("run1")] == [""]
    (attempt,) = ledger.active_attempts()
    assert (attempt.run_id, attempt.nodes, attempt.measured.peak_mib) == ("run2", (), None)
    assert [entry.topic for entry in ledger.unsent()] == ["run_finished"]
    assert ledger.end_attempt(attempt, AttemptState.FINISHED, RunState.FINISHED) == "finished"
    assert len(ledger.events_of("run2")) == 2
    start_attempt(ledger, waiting, waiting.fits[0], None, "local", "", ["n1"])
    term = ledger.lead("a", 10)
    assert term is not None
    assert term.epoch == 1
    ledger.close()


@pytest.mark.parametrize("schema", [schema for schema in revisions() if schema != HEAD])
def test_every_released_schema_comes_to_the_newest(
    engine: Engine, ledger_url: str, schema: str
) -> None:
    at(engine, schema)
    open_database(ledger_url, migrate=True).dispose()
    with engine.connect() as connection:
        assert revision(connection) == HEAD


def test_an_older_schema_on_a_server_waits_to_be_asked(engine: Engine, ledger_url: str) -> None:
    at(engine, "0001")
    if engine.dialect.name == "sqlite":
        open_database(ledger_url).dispose()
        return
    with pytest.raises(InfrastructureError, match=r"its schema is 0001.*ntlbg db upgrade"):
        open_database(ledger_url)


def test_a_schema_of_newer_code_is_one_line(engine: Engine, ledger_url: str) -> None:
    at(engine, "head")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InfrastructureError, match="9999, newer than this ntlbg"):
        open_database(ledger_url)


ENDED = [RunState.FINISHED, RunState.FAILED, RunState.CANCELLED, RunState.LOST]


@pytest.mark.parametrize("state", ENDED)
def test_the_database_itself_keeps_ended_states(
    engine: Engine, ledger_url: str, state: RunState
) -> None:
    ledger = Ledger(open_database(ledger_url), Ticks())
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    attempt = start_attempt(ledger, ledger.run(run_id), cpu_fit(tiny_config()), None, "local", "")
    ledger.end_attempt(attempt, AttemptState.FAILED, state)
    reopened = (
        "UPDATE runs SET state = 'running'",
        "UPDATE runs SET state = 'queued'",
        "UPDATE attempts SET state = 'launched'",
        "UPDATE attempts SET state = 'finished'",
    )
    for statement in reopened:
        with (
            pytest.raises(IntegrityError, match="has ended keeps its state"),
            engine.begin() as raw,
        ):
            raw.execute(text(statement))
    with engine.begin() as raw:
        raw.execute(text("UPDATE runs SET priority = 3"))
    assert ledger.run(run_id).state is state
    assert ledger.attempts_of(run_id)[0].state is AttemptState.FAILED
    ledger.close()


def test_leadership_has_one_row(engine: Engine, ledger_url: str) -> None:
    open_database(ledger_url).dispose()
    with pytest.raises(IntegrityError), engine.begin() as raw:
        raw.execute(
            text("INSERT INTO leadership (id, holder, epoch, expires_at) VALUES (2, 'b', 7, 0)")
        )
