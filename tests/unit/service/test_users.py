"""Several people on one ledger: whose a run is, and who may change it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.domain.users import NotAllowedError
from ntlbg_service.ledger.backup import back_up
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.restore import restore
from ntlbg_service.process.user import acting_user
from ntlbg_service.tracking.publisher import Publisher
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import Command, command_on

BOBS = replace(SUITE, submitter="bob")


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A suite of ada's to which bob has added a seed."""
    service = Service(tmp_path / "home", places=4)
    service.ledger.submit(SUITE, [new_run(seed=1), new_run(seed=2)])
    service.ledger.submit(BOBS, [new_run(seed=3)])
    return service


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


def test_who_acts_is_what_the_environment_says_else_the_system(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    assert acting_user({"NTLBG_USER": "bob"}) == "bob"
    assert acting_user({"NTLBG_USER": ""}) == acting_user({}) == "ada"

    with pytest.raises(UserError, match="NTLBG_USER: looks like a secret"):
        acting_user({"NTLBG_USER": "hf_" + "Qz7" * 10})

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    with pytest.raises(UserError, match="NTLBG_USER says who acts"):
        acting_user({})


def test_a_run_is_whose_who_submitted_it(ledger: Ledger) -> None:
    (first,) = ledger.submit(SUITE, [new_run(seed=1)]).new
    again = ledger.submit(BOBS, [new_run(seed=1), new_run(seed=2)])
    assert again.known == (first,)
    owners = {run.seed: run.submitter for run in ledger.current_runs("s")}
    assert owners == {1: "ada", 2: "bob"}
    suite = ledger.suite("s")
    assert suite is not None and suite.submitter == "ada"
    assert ledger.submitters() == {"ada": 1, "bob": 1}
    assert [event.who for event in ledger.events_of(again.new[0])] == ["bob"]


WISHES: dict[str, Callable[[Ledger, str], object]] = {
    "cancel": lambda ledger, run_id: ledger.request(run_id, DesiredState.CANCEL, "bob"),
    "pause": lambda ledger, run_id: ledger.request(run_id, DesiredState.PAUSE, "bob"),
    "resume": lambda ledger, run_id: ledger.request(run_id, DesiredState.RUN, "bob"),
    "move": lambda ledger, run_id: ledger.prioritise(run_id, 5, "bob"),
    "replace": lambda ledger, _: ledger.submit(BOBS, [new_run(code="c2")]),
}


@pytest.mark.parametrize("doing", WISHES)
def test_the_ledger_refuses_wishes_for_runs_of_others(ledger: Ledger, doing: str) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    ledger.request(run_id, DesiredState.PAUSE, "ada")
    before = ledger.run(run_id), ledger.events_of(run_id), ledger.names()
    refused = rf"{run_id}.* is ada's: only ada may {doing} it, not bob; 'ntlbg users add-operator'"
    with pytest.raises(NotAllowedError, match=refused):
        WISHES[doing](ledger, run_id)
    assert (ledger.run(run_id), ledger.events_of(run_id), ledger.names()) == before
    ledger.add_operator("bob", "root")
    WISHES[doing](ledger, run_id)
    assert ledger.run(run_id) != before[0] or doing == "pause"


def test_only_its_owner_or_an_operator_repeats_a_run_and_it_stays_the_owners(
    ledger: Ledger,
) -> None:
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    ledger.request(run_id, DesiredState.CANCEL, "ada")
    with pytest.raises(NotAllowedError, match="only ada may repeat it, not bob"):
        ledger.requeue(run_id, "bob")
    assert len(ledger.names()) == 1
    ledger.add_operator("bob", "ada")
    again = ledger.run(ledger.requeue(run_id, "bob"))
    assert (again.submitter, again.state) == ("ada", RunState.QUEUED)
    assert [event.who for event in ledger.events_of(again.run_id)] == ["bob"]


def test_what_was_stopped_is_stopped_for_who_might(ledger: Ledger) -> None:
    """The controller acts on the wish that is written; a refused one is not."""
    (run_id,) = ledger.submit(SUITE, [new_run()]).new
    attempt = start_attempt(ledger, ledger.run(run_id), new_run().fits[0], None, "local", "")
    with pytest.raises(NotAllowedError):
        ledger.request(run_id, DesiredState.CANCEL, "bob")
    assert ledger.run(run_id).wanted is DesiredState.RUN
    ledger.request(run_id, DesiredState.CANCEL, "ada")
    assert ledger.run(run_id).wanted is DesiredState.CANCEL
    ended = ledger.end_attempt(attempt, AttemptState.INTERRUPTED, RunState.QUEUED)
    assert ended is RunState.CANCELLED
    assert "ada" in {event.who for event in ledger.events_of(run_id)}


def test_the_first_operator_is_named_by_anyone_and_then_by_operators(ledger: Ledger) -> None:
    assert ledger.drain("n1", "bob") and ledger.undrain("n1", "eve")
    assert ledger.add_operator("ada", "bob")
    assert not ledger.add_operator("ada", "ada")
    for refused in (
        lambda: ledger.add_operator("bob", "bob"),
        lambda: ledger.remove_operator("ada", "bob"),
        lambda: ledger.drain("n1", "bob"),
        lambda: ledger.undrain("n1", "bob"),
    ):
        with pytest.raises(NotAllowedError, match=r"only an operator \(ada\) may .*, not bob"):
            refused()
    assert (list(ledger.operators()), ledger.drained()) == (["ada"], {})
    assert ledger.operators()["ada"].who == "bob"
    assert ledger.drain("n1", "ada") and ledger.undrain("n1", "ada")
    assert ledger.remove_operator("ada", "ada") and not ledger.remove_operator("ada", "bob")


def test_caps_count_by_the_user_of_a_run(service: Service) -> None:
    replace(service.controller, caps=Caps(users={"ada": 1, "bob": 1})).step()
    running = {attempt.run_id for attempt in service.ledger.active_attempts()}
    owners = sorted(service.ledger.run(run_id).submitter for run_id in running)
    assert owners == ["ada", "bob"]
    replace(service.controller, caps=Caps(users={"ada": 1, "bob": 1})).step()
    assert len(service.ledger.active_attempts()) == 2


def test_old_lines_of_a_backup_belong_to_who_submitted_their_suite(
    engine: Engine, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.submit(SUITE, [new_run(seed=1)])
    with engine.begin() as raw:
        raw.execute(text("UPDATE runs SET submitter = ''"))
    back_up(engine, tmp_path / "old.jsonl")
    restore(engine, tmp_path / "old.jsonl", force=True)
    assert ledger.submitters() == {"ada": 1}


class Tags:
    """A tracker that keeps the tags it is told."""

    def __init__(self) -> None:
        self.of: dict[str, Mapping[str, str]] = {}

    def suite(self, suite_key: str, name: str, tags: Mapping[str, str], **_: Any) -> None:
        self.of[suite_key] = tags

    def run_started(
        self, _: str, run_id: str, __: str, ___: Any, tags: Mapping[str, str], **____: Any
    ) -> None:
        self.of[run_id] = tags

    def run_metrics(self, *_: Any) -> None:
        """Nothing."""


def test_mlflow_is_told_whose_each_run_is(service: Service) -> None:
    service.controller.step()
    tracker: Any = Tags()
    storage, clock = service.storage, service.ledger.now
    assert Publisher(service.ledger, storage, tracker, service.workspace, clock).flush()
    assert tracker.of["s"]["mlflow.user"] == tracker.of["s"]["ntlbg.submitter"] == "ada"
    owners = {run.run_id: run.submitter for run in service.ledger.current_runs("s")}
    assert {"ada", "bob"} == set(owners.values())
    for run_id, owner in owners.items():
        tags = tracker.of[run_id]
        assert (tags["mlflow.user"], tags["ntlbg.submitter"]) == (owner, owner)
        assert tags["ntlbg.suite_submitter"] == "ada"


def test_a_refusal_is_one_line_that_names_the_owner(service: Service, ntlbg: Command) -> None:
    run = service.ledger.current_runs("s")[2]
    for words in (("cancel",), ("pause",), ("resume",), ("priority", "3")):
        said = ntlbg(words[0], run.run_id, *words[1:])
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert f"ntlbg: g/ntlbg seed 3 ({run.run_id}) is bob's: only bob may " in said.err
    assert service.ledger.run(run.run_id).state is RunState.QUEUED


def test_a_suite_of_several_is_refused_whole_or_taken_in_part(
    service: Service, ntlbg: Command
) -> None:
    refused = ntlbg("cancel", "s")
    assert refused.code == 2 and "--mine leaves the runs of others alone" in refused.err
    assert len(service.ledger.queued()) == 3
    assert ntlbg("cancel", "s", "--mine").out.count("cancelled") == 2
    assert [run.submitter for run in service.ledger.queued()] == ["bob"]
    assert ntlbg("retry", "s").out.count("queued again") == 2
    ntlbg("priority", "s", "2", "--mine")
    assert [run.priority for run in service.ledger.queued()] == [2, 2, 0]


def test_operators_act_for_everybody(
    service: Service, ntlbg: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ntlbg("users", "add-operator", "eve").out == "eve: is an operator\n"
    assert ntlbg("users", "add-operator", "eve").code == 2
    assert "only an operator (eve) may make mal an operator, not ada" in (
        ntlbg("users", "add-operator", "mal").err
    )
    refused = ntlbg("cancel", "g/ntlbg:3").err
    assert "only bob or an operator (eve) may cancel it, not ada" in refused
    monkeypatch.setenv("NTLBG_USER", "eve")
    assert ntlbg("cancel", "s").out.count("cancelled") == 3
    rows = {row["user"]: row for row in ntlbg("users", "list", "--json").json}
    assert [rows[name]["runs"] for name in ("ada", "bob", "eve")] == [2, 1, 0]
    assert rows["eve"]["acts"] and rows["eve"]["operator_by"] == "ada"
    assert "by ada  acts here" in ntlbg("users", "list").out
    assert "did you mean 'eve'?" in ntlbg("users", "remove-operator", "ever").err
    assert ntlbg("users", "remove-operator", "eve").out == "eve: is no operator any more\n"


def test_status_and_explain_say_whose_a_run_is_and_who_acted(
    service: Service, ntlbg: Command
) -> None:
    ntlbg("pause", "g/ntlbg:1")
    lines = ntlbg("status").out.splitlines()
    assert [line.split()[2] for line in lines[1:]] == ["ada", "ada", "bob"]
    (row,) = ntlbg("status", "--user", "bob", "--json").json
    assert (row["seed"], row["submitter"]) == (3, "bob")
    (row,) = ntlbg("status", "g/ntlbg:1", "--json", "--events").json
    assert [event["who"] for event in row["events"]] == ["ada", "ada"]
    assert " by bob\n" in ntlbg("explain", "g/ntlbg:3").out


def test_a_name_that_is_none_is_one_line(
    service: Service, ntlbg: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NTLBG_USER", "a\tb")
    for words in (("cancel", "s"), ("retry", "s"), ("priority", "s", "1"), ("users", "list")):
        said = ntlbg(*words)
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert said.err.startswith("ntlbg: NTLBG_USER: a user's name has only printable")
    assert json.loads(ntlbg("status", "--json").out)[0]["wanted"] == "run"
