"""The outbox and an MLflow that refuses, fails or answers what is none of MLflow's."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from mlflow.utils.search_utils import SearchUtils

from ntlbg_service.domain.launch import MetricLine, to_json
from ntlbg_service.ledger.records import NewSuite
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.tracking import Tracker
from ntlbg_service.tracking.publisher import FAILURES, LONGEST_PAUSE, RETRY_SECONDS, Publisher
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import Command, command_on
from tests.support.mlflow_stub import Answer, MlflowStub, json_answer


@pytest.fixture
def stub() -> Iterator[MlflowStub]:
    found = MlflowStub()
    yield found
    found.close()


@dataclass
class Home:
    """Finished runs of which MLflow knows nothing yet."""

    service: Service
    publisher: Publisher
    stub: MlflowStub
    ids: tuple[str, ...]
    noted: list[str]
    troubles: list[str]
    now: float = 1000.0

    def step(self, seconds: float) -> None:
        self.now += seconds
        self.publisher.step()

    def answer_with(self, wrong: Answer, where: Callable[[str, bytes], bool]) -> None:
        """Answer so where the path and what is sent are meant, and honestly else."""
        self.stub.instead = lambda path, said: wrong if where(path, said) else None

    def known(self) -> set[str]:
        """Runs that MLflow shows as finished."""
        runs = self.stub.tagged("ntlbg.run_id").items()
        return {run_id for run_id, run in runs if run["info"]["status"] == "FINISHED"}


def a_home(folder: Path, stub: MlflowStub, runs: int = 3, suite: NewSuite = SUITE) -> Home:
    service = Service(folder / "home", places=runs)
    fresh = [new_run(seed=seed) for seed in range(runs)]
    named = [replace(run, identity=replace(run.identity, suite=suite.key)) for run in fresh]
    ids = service.ledger.submit(suite, named).new
    service.run_all()
    home = Home(service, None, stub, ids, [], [])  # type: ignore[arg-type]
    home.publisher = Publisher(
        service.ledger,
        service.storage,
        Tracker(stub.address),
        service.workspace,
        lambda: home.now,
        note=home.noted.append,
        trouble=home.troubles.append,
    )
    return home


@pytest.fixture
def home(tmp_path: Path, stub: MlflowStub) -> Home:
    return a_home(tmp_path, stub)


def about(run_id: str) -> Callable[[str, bytes], bool]:
    """Requests that make the MLflow run of a run."""
    return lambda path, said: path.endswith("runs/create") and run_id.encode() in said


def about_a_run(said: bytes) -> bool:
    return b'"ntlbg.run_id"' in said


REFUSAL = json_answer(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "bad \x1b[31m"})


def test_one_refused_run_is_set_aside_and_the_others_are_told(home: Home) -> None:
    odd, *others = home.ids
    home.answer_with(REFUSAL, about(odd))
    assert home.publisher.flush()
    assert not home.service.ledger.unsent()
    refused = home.service.ledger.refused()
    assert {entry.run_id for entry in refused} == {odd}
    assert {entry.topic for entry in refused} == {"run_started", "run_finished"}
    assert all("bad \\x1b[31m" in entry.error and entry.tries == 1 for entry in refused)
    assert home.known() == set(others)
    assert not home.troubles and "'ntlbg mlflow resend'" in home.noted[0]


def test_what_was_refused_is_told_when_it_is_sent_again(home: Home) -> None:
    home.answer_with(REFUSAL, about(home.ids[0]))
    home.publisher.flush()
    home.stub.instead = lambda path, said: None
    assert home.service.ledger.resend(run_ids=[home.ids[1]]) == 0
    assert home.service.ledger.resend(suites=["other"]) == 0
    assert home.service.ledger.resend(run_ids=[home.ids[0]]) == 2
    assert home.publisher.flush()
    assert not home.service.ledger.refused() and home.known() == set(home.ids)


def test_a_later_entry_of_a_run_tells_what_was_refused_before(home: Home) -> None:
    left = [REFUSAL, REFUSAL]  # An entry is tried twice.
    home.stub.instead = lambda path, said: (
        left.pop() if left and path.endswith("runs/create") and about_a_run(said) else None
    )
    assert home.publisher.flush()
    assert not home.service.ledger.refused() and home.known() == set(home.ids)


@pytest.mark.parametrize(
    "wrong",
    [
        json_answer(500, {"error_code": "INTERNAL_ERROR", "message": "x"}),
        json_answer(401, {"message": "who are you"}),
        pytest.param(
            json_answer(403, {"error_code": "PERMISSION_DENIED", "message": "no"}),
            marks=pytest.mark.long,
        ),
        pytest.param(
            json_answer(429, {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slower"}),
            marks=pytest.mark.long,
        ),
        json_answer(200, {"experiments": 5}),
        pytest.param(
            json_answer(200, {"experiment": 5, "run": 5, "experiments": [5]}),
            marks=pytest.mark.long,
        ),
        pytest.param(
            json_answer(400, {"error_code": ["x"], "message": {}}), marks=pytest.mark.long
        ),
        Answer(200, b"<html>\x1b[31mlog in</html>"),
        pytest.param(Answer(404, b"<html>no such page</html>"), marks=pytest.mark.long),
        pytest.param(Answer(200, b'{"experiments": [', length=10_000), marks=pytest.mark.long),
        Answer(307, b"", {"Location": "http://127.0.0.1:9/"}),
        pytest.param(Answer(0, b"", raw=b""), marks=pytest.mark.long),
    ],
)
def test_what_is_wrong_with_the_server_waits_and_is_said(home: Home, wrong: Answer) -> None:
    home.answer_with(wrong, lambda path, said: True)
    assert not home.publisher.flush()
    assert not home.service.ledger.refused() and len(home.service.ledger.unsent()) == 7
    assert home.troubles and all(line.isprintable() for line in home.troubles)
    home.stub.instead = lambda path, said: None
    assert home.publisher.flush() and home.known() == set(home.ids)


def test_a_server_that_refuses_everything_is_the_servers_fault(home: Home) -> None:
    home.answer_with(REFUSAL, lambda path, said: True)
    assert not home.publisher.flush()
    assert not home.service.ledger.refused()


def test_a_run_that_the_server_fails_at_lets_the_others_pass_and_is_set_aside_in_the_end(
    home: Home,
) -> None:
    odd, *others = home.ids
    home.answer_with(json_answer(500, {"message": "database"}), about(odd))
    home.step(1)
    assert home.known() == set(others)
    waiting = [entry for entry in home.service.ledger.unsent() if entry.run_id == odd]
    assert [entry.tries for entry in waiting] == [1, 0]  # The second keeps its place.
    for _ in range(FAILURES):
        home.step(LONGEST_PAUSE)
    assert waiting[0].id in {entry.id for entry in home.service.ledger.unsent()}  # Nothing passed.
    for place in range(FAILURES):
        home.service.ledger.post("run_metrics", SUITE.key, others[place % 2])
        home.step(LONGEST_PAUSE)
    refused = home.service.ledger.refused(run_ids=[odd])
    assert refused[0].id == waiting[0].id and "while others were taken" in refused[0].error


def test_whom_a_server_does_not_let_in_is_never_set_aside(home: Home) -> None:
    odd, *others = home.ids
    home.answer_with(json_answer(403, {"error_code": "PERMISSION_DENIED"}), about(odd))
    for place in range(FAILURES + 1):
        home.service.ledger.post("run_metrics", SUITE.key, others[place % 2])
        home.step(LONGEST_PAUSE)
    assert not home.service.ledger.refused()
    assert home.known() == set(others)


def test_a_server_that_is_away_is_asked_once_and_left_alone_for_a_while(home: Home) -> None:
    home.stub.close()
    home.step(1)
    home.step(1)
    assert len(home.troubles) == 1
    home.step(RETRY_SECONDS)
    assert len(home.troubles) == 2


def test_metrics_that_come_again_do_not_repeat_what_is_refused(home: Home) -> None:
    ledger, run_id = home.service.ledger, home.ids[0]
    home.publisher.flush()
    ledger.post("run_metrics", SUITE.key, run_id)
    (entry,) = ledger.unsent()
    ledger.set_aside(entry, "no")
    ledger.post("run_metrics", SUITE.key, run_id)
    assert not ledger.unsent() and len(ledger.refused()) == 1
    ledger.post("run_finished", SUITE.key, run_id)
    assert home.publisher.flush() and not ledger.refused()


def test_what_was_posted_again_while_it_was_refused_is_tried_again(home: Home) -> None:
    ledger = home.service.ledger
    home.publisher.flush()
    ledger.post("suite_finished", SUITE.key)
    (read,) = ledger.unsent()
    ledger.post("suite_finished", SUITE.key)
    ledger.set_aside(read, "no")
    assert [entry.id for entry in ledger.unsent()] == [read.id]
    ledger.set_aside(ledger.unsent()[0], "no")
    ledger.post("suite_finished", SUITE.key)
    assert [entry.id for entry in ledger.unsent()] == [read.id]


@pytest.mark.parametrize("time", ["NaN", "1e999", "-5"])
def test_a_metric_line_whose_time_is_none_holds_up_nothing(home: Home, time: str) -> None:
    keys = AttemptKeys(home.ids[0], 1)
    path = home.service.storage.path(keys.metrics)
    good = to_json(MetricLine(attempt=1, step=2, time=5.0, values={"good": 0.5}))
    bad = f'{{"attempt": 1, "step": 1, "time": {time}, "values": {{"odd": 1}}}}'
    path.write_text(f"{bad}\n{json.dumps(good)}\n")
    assert home.publisher.flush() and home.known() == set(home.ids)
    shown = home.stub.tagged("ntlbg.run_id")[home.ids[0]]["data"]["metrics"]
    assert "good" in {each["key"] for each in shown} and "odd" not in {e["key"] for e in shown}


def test_odd_versions_in_an_exit_record_become_tags_that_mlflow_takes(home: Home) -> None:
    path = home.service.storage.path(AttemptKeys(home.ids[0], 1).exit)
    record = json.loads(path.read_text())
    record["versions"] = {"a\nb": "1", "x" * 400: "\x1b[31m", "../..": "y" * 9000, "é\0": "a\0"}
    path.chmod(0o600)
    path.write_text(json.dumps(record))
    assert home.publisher.flush() and not home.service.ledger.refused()
    tags = home.stub.tagged("ntlbg.run_id")[home.ids[0]]["data"]["tags"]
    known = {each["key"]: each["value"] for each in tags if ".version." in each["key"]}
    assert known["ntlbg.version.a_b"] == "1" and known["ntlbg.version.é_"] == "a\\u0000"
    assert all(len(key) <= 250 and len(value) <= 5000 for key, value in known.items())
    assert "\\u001b[31m" in known.values()


def test_a_run_whose_config_is_of_other_code_is_set_aside(home: Home) -> None:
    other = replace(new_run(seed=9), config={"no": "config"})
    (run_id,) = home.service.ledger.submit(SUITE, [other]).new
    home.service.ledger.post("run_started", SUITE.key, run_id)
    assert home.publisher.flush()
    (refused,) = home.service.ledger.refused()
    assert refused.run_id == run_id and "unknown key" in refused.error


@pytest.fixture
def ntlbg(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("NTLBG_MLFLOW", home.stub.address)
    return command_on(home.service, monkeypatch, capsys)


def test_commands_name_what_is_refused_and_send_it_again(home: Home, ntlbg: Command) -> None:
    home.answer_with(REFUSAL, about(home.ids[0]))
    home.publisher.flush()
    assert "MLflow refused 2 entries about 1 run" in ntlbg("status").out
    rows = {row["run_id"]: row for row in ntlbg("status", "--json").json}
    assert "bad" in rows[home.ids[0]]["mlflow_refused"] and not rows[home.ids[1]]["mlflow_refused"]
    found = {row["check"]: row for row in ntlbg("doctor", "--json").json}
    assert found["mlflow copy"]["level"] == "problem"
    assert "resend" in found["mlflow copy"]["do"]
    assert "refused by MLflow: 2" in ntlbg("db", "check").out
    said = ntlbg("mlflow", "check")
    assert said.code == 5 and f"{home.ids[0]}  run_finished set aside" in said.out
    assert "bad" in said.out and "\x1b" not in said.out
    again = ntlbg("mlflow", "resend")
    assert again.code == 5 and "refused 2 entries about 1 run again" in again.err
    home.stub.instead = lambda path, said: None
    assert ntlbg("mlflow", "resend", "ntlbg:0").out == "MLflow took 2 entries.\n"
    assert ntlbg("mlflow", "check").code == 0
    assert "refused" not in ntlbg("status").out


def test_rebuild_sends_again_what_was_refused(home: Home, ntlbg: Command) -> None:
    home.answer_with(REFUSAL, about(home.ids[0]))
    said = ntlbg("mlflow", "rebuild")
    assert said.code == 5 and "'ntlbg mlflow resend'" in said.err
    home.stub.instead = lambda path, said: None
    assert ntlbg("mlflow", "rebuild").code == 0
    assert not home.service.ledger.refused() and home.known() == set(home.ids)


def test_resend_says_why_where_mlflow_does_not_answer(home: Home, ntlbg: Command) -> None:
    home.answer_with(Answer(502, b"<html>bad gateway</html>"), lambda path, said: True)
    said = ntlbg("mlflow", "resend")
    assert said.code == 4
    assert "502" in said.err and "7 entries stay in the outbox" in said.err


def test_the_end_of_run_says_what_mlflow_lacks(home: Home) -> None:
    from ntlbg_service.cli.refused import untold

    ledger = home.service.ledger
    home.answer_with(Answer(502, b"<html>bad gateway</html>"), lambda path, said: True)
    home.publisher.flush()
    waits = untold(ledger, SUITE.key)
    assert waits is not None and waits.exit_code == 4
    assert "7 entries wait" in str(waits) and "502" in str(waits) and "mlflow resend" in str(waits)
    home.answer_with(REFUSAL, about(home.ids[0]))
    home.publisher.flush()
    refused = untold(ledger, SUITE.key)
    assert refused is not None and refused.exit_code == 5 and "bad" in str(refused)
    home.stub.instead = lambda path, said: None
    ledger.resend()
    home.publisher.flush()
    assert untold(ledger, SUITE.key) is None


@pytest.mark.parametrize("name", ["ada's suite", 'a"b\\', "100% é名"])
def test_a_suite_of_any_name_is_told(tmp_path: Path, stub: MlflowStub, name: str) -> None:
    suite = NewSuite(key=name, name=name, description="", submitter="ada", spec={})
    home = a_home(tmp_path, stub, 1, suite)
    assert home.publisher.flush() and home.known() == set(home.ids)
    assert home.publisher.tracker.statuses(name) == {home.ids[0]: ["finished"]}
    link = home.publisher.tracker.suite_link(name)
    assert link is not None
    (shown,) = parse_qs(link.partition("?")[2])["searchFilter"]
    (wanted,) = SearchUtils.parse_search_filter(shown)
    pair = {"key": wanted["key"], "value": wanted["value"]}
    assert pair in stub.tagged("ntlbg.run_id")[home.ids[0]]["data"]["tags"]
    run = home.publisher.tracker.link(home.ids[0])
    assert run is not None and run.startswith(f"{stub.address}/#/experiments/1/runs/0")
