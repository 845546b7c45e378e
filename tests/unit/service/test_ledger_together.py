"""Several at once on one ledger: submitters, leaders, and a database that goes away."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.integrity import check
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.transactions import LeadershipLostError, Term
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, Ticks, cpu_fit, new_run, tiny_config
from tests.support.databases import postgres_server
from tests.support.patience import PATIENCE

FIT = cpu_fit(tiny_config())
RUNS = [new_run(variant, seed) for variant in ("ntlbg", "uniform") for seed in (1, 2, 3)]


class Hand:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_eight_submit_the_same_suite_at_once(engine: Engine) -> None:
    ledger = Ledger(engine, Ticks())
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: ledger.submit(SUITE, RUNS), range(8)))
    assert sorted(len(each.new) for each in done) == [0] * 7 + [6]
    assert len(ledger.current_runs("s")) == 6
    assert all(len(ledger.events_of(run.run_id)) == 1 for run in ledger.current_runs("s"))


def test_eight_open_an_empty_database_at_once(ledger_url: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(open_database, [ledger_url] * 8))
    assert check(engines[0]).problems == ()
    for each in engines:
        each.dispose()


def test_of_eight_candidates_one_leads(engine: Engine) -> None:
    ledger = Ledger(engine, Hand())
    with ThreadPoolExecutor(8) as pool:
        terms = list(pool.map(lambda n: ledger.lead(f"c{n}", 10), range(8)))
    (term,) = [each for each in terms if each is not None]
    assert (term.epoch, ledger.leader()) == (1, term.holder)


def test_a_lease_runs_out_is_renewed_and_given_back(engine: Engine) -> None:
    clock = Hand()
    ledger = Ledger(engine, clock)
    first = ledger.lead("a", 10)
    assert first == Term(holder="a", epoch=1)
    clock.time = 9
    assert ledger.lead("b", 10) is None
    assert ledger.renew(first, 10)
    clock.time = 20
    assert ledger.leader() is None
    assert ledger.renew(first, 10)
    ledger.resign(first)
    assert not ledger.renew(first, 10)
    second = ledger.lead("b", 10)
    assert second == Term(holder="b", epoch=2)
    ledger.resign(first)
    assert ledger.leader() == "b"


def test_a_new_term_waits_for_the_write_that_is_under_way(engine: Engine) -> None:
    clock = Hand()
    ledger = Ledger(engine, clock)
    term = ledger.lead("a", 10)
    assert term is not None
    clock.time = 11
    with ThreadPoolExecutor(1) as pool:
        with ledger.under(term)._writing() as connection:
            taking = pool.submit(ledger.lead, "b", 10)
            ledger._post(connection, "run_metrics", "s", None)
            assert not taking.done()
        assert taking.result(timeout=PATIENCE) == Term(holder="b", epoch=2)
    with pytest.raises(LeadershipLostError, match=r"a leads no more.*now b leads in term 2"):
        ledger.under(term).post("suite_finished", "s")
    assert [entry.topic for entry in ledger.unsent()] == ["run_metrics"]


moves = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["lead", "renew", "resign", "write", "wait"])),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moves=moves)
def test_no_write_of_a_deposed_leader_is_ever_seen(
    engine: Engine, moves: list[tuple[str, str]]
) -> None:
    clock = Hand()
    ledger = Ledger(engine, clock)
    clock.time = 1e6 * (1 + _epoch(ledger))
    terms: dict[str, Term] = {}
    leads: str | None = None
    written = {entry.topic for entry in ledger.unsent()}
    for number, (who, move) in enumerate(moves):
        if move == "wait":
            clock.time += 60
        elif move == "lead":
            term = ledger.lead(who, 100)
            if term is not None:
                terms[who], leads = term, who
        elif who in terms and move == "renew":
            assert ledger.renew(terms[who], 100) == (leads == who)
        elif who in terms and move == "resign":
            ledger.resign(terms[who])
            leads = None if leads == who else leads
        elif who in terms:
            topic = f"{terms[who].epoch}-{number}"
            try:
                ledger.under(terms[who]).post(topic, "s")
                assert leads == who
                written.add(topic)
            except LeadershipLostError:
                assert leads != who
    assert {entry.topic for entry in ledger.unsent()} == written


def _epoch(ledger: Ledger) -> int:
    """A term of nobody's, which ends those of the example before."""
    term = ledger.lead("nobody", 0) or ledger.lead("a", 0) or ledger.lead("b", 0)
    assert term is not None
    ledger.resign(term)
    return term.epoch


def test_what_is_posted_while_mlflow_is_told_is_not_forgotten(engine: Engine) -> None:
    ledger = Ledger(engine, Ticks())
    ledger.post("run_metrics", "s", "r1")
    (read,) = ledger.unsent()
    ledger.post("run_metrics", "s", "r1")
    ledger.sent(read)
    (again,) = ledger.unsent()
    ledger.sent(again)
    assert ledger.unsent() == ()


def test_a_controller_drives_a_suite_to_its_end(engine: Engine, tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.ledger = Ledger(engine, Ticks())
    service.restart()
    service.ledger.submit(SUITE, RUNS)
    service.run_all()
    assert {run.state for run in service.ledger.current_runs("s")} == {RunState.FINISHED}
    assert check(engine).problems == ()


def test_an_attempt_ends_once(engine: Engine) -> None:
    ledger = Ledger(engine, Ticks())
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    attempt = start_attempt(ledger, ledger.run(run_id), FIT, None, "local", "")

    def end(_: int) -> str:
        try:
            ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED)
        except Exception as error:
            return type(error).__name__
        return "ended"

    with ThreadPoolExecutor(8) as pool:
        done = sorted(pool.map(end, range(8)))
    assert done == ["TransitionError"] * 7 + ["ended"]


def test_a_server_that_was_killed_is_used_again() -> None:
    with postgres_server() as server:
        ledger = Ledger(open_database(server.new_database()), Ticks())
        ledger.submit(SUITE, RUNS[:3])
        first = ledger.queued()[0]
        with pytest.raises(InfrastructureError, match="ledger: "), ledger._writing() as half:
            ledger._set_state(half, first.run_id, RunState.RUNNING, "half")
            ledger._event(half, first.run_id, "launched", "half")
            server.kill()
        with pytest.raises(InfrastructureError) as away:
            ledger.queued()
        assert "\n" not in str(away.value)
        server.start()
        assert ledger.run(first.run_id) == first
        assert [event.kind for event in ledger.events_of(first.run_id)] == ["submitted"]
        assert len(ledger.submit(SUITE, RUNS).new) == 3
        ledger.close()
