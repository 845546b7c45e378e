"""Several people on one cluster: caps, drained nodes, gangs that give back, and why it was so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.liveness import gang
from ntlbg_service.domain.liveness.gang import NOT_UP, TRIES
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.records import NewRun
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import Command, command_on


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "home", places=4)


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


def a_gang(workers: int) -> NewRun:
    run = new_run()
    return replace(run, fits=tuple(replace(fit, workers=workers) for fit in run.fits))


def test_what_is_submitted_together_is_of_one_age(service: Service) -> None:
    service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(3)])
    assert len({run.created_at for run in service.ledger.queued()}) == 1


def test_nobody_holds_more_than_the_cap(service: Service) -> None:
    ids = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(5)]).new
    capped = replace(service.controller, caps=Caps(users={SUITE.submitter: 2}))
    seen = []
    while capped.step():
        running = list(service.executor.running.values())
        seen.append(len(running))
        service.executor.complete(running[0].run_id)
    assert max(seen) == 2
    assert {service.ledger.run(run_id).state for run_id in ids} == {RunState.FINISHED}


def test_an_attempt_says_the_numbers_that_decided_it(service: Service) -> None:
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    replace(service.controller, caps=Caps(suites={"s": 3})).step()
    words = service.ledger.events_of(run_id)[-1].message
    assert "place 1 of 1 in the queue (priority 0, with " in words
    assert words.endswith("suite s then holds 1 of 3 GPUs")


def test_a_gang_that_does_not_come_up_gives_its_gpus_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gang, "UP_SECONDS", 20.0)
    driving = replace(service.controller, timeouts=Timeouts(startup=40.0))
    (run_id,) = service.ledger.submit(SUITE, [a_gang(3)]).new
    attempts = service.ledger.attempts_of(run_id)
    while len(attempts) <= TRIES or not attempts[TRIES].ended_at:
        assert len(service.executor.running) <= 1
        driving.step()
        attempts = service.ledger.attempts_of(run_id)
    withdrawn, lost = attempts[:TRIES], attempts[TRIES]
    assert {attempt.state for attempt in withdrawn} == {AttemptState.INTERRUPTED}
    assert {attempt.message for attempt in withdrawn} == {NOT_UP}
    assert lost.state is AttemptState.LOST
    assert lost.message.startswith("no sign of life for 4")
    events = [event.message for event in service.ledger.events_of(run_id)]
    assert any(f"all 3 GPUs are given back (1 of {TRIES} times" in words for words in events)
    service.run_all()
    assert service.ledger.run(run_id).state is RunState.FINISHED


def test_nothing_new_starts_on_a_drained_node(service: Service) -> None:
    ids = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(2)]).new
    group = NodeGroup(profile="cpu", gpus=1, nodes=2, cores=2, host_memory_gib=16, name="n")
    inventory = Inventory(name="two", groups=(group,))
    two = replace(
        service.controller, ground=replace(service.controller.ground, inventory=inventory)
    )
    two.step()
    assert {attempt.nodes for attempt in service.ledger.active_attempts()} == {("n-1",), ("n-2",)}
    assert service.ledger.drain("n-1", "eve", "a fan")
    assert not service.ledger.drain("n-1", "bob")
    assert {row.who for row in service.ledger.drained().values()} == {"eve"}
    more = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in (7, 8)]).new
    while two.step():
        here = [attempt.nodes for attempt in service.ledger.active_attempts()]
        assert here.count(("n-2",)) <= 1
        service.executor.complete(next(iter(service.executor.running.values())).run_id)
    places = {run_id: service.ledger.attempts_of(run_id)[0].nodes for run_id in (*ids, *more)}
    assert {places[run_id] for run_id in more} == {("n-2",)}


def test_draining_from_the_command_line(service: Service, ntlbg: Command, tmp_path: Path) -> None:
    lab = tmp_path / "lab.json"
    group = {"profile": "cpu", "gpus": 4, "nodes": 1, "name": "node"}
    lab.write_text(json.dumps({"name": "lab", "groups": [group]}))
    wrong = ntlbg("cluster", "drain", "node-l", "--inventory", lab)
    assert wrong.code == 2
    assert (
        wrong.err.strip() == "ntlbg: cluster drain: unknown node 'node-l'; did you mean 'node-1'?"
    )
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    said = ntlbg("cluster", "drain", "node-1", "--reason", "a fan", "--inventory", lab)
    assert said.out == "node-1: drained; nothing runs there\n"
    again = ntlbg("cluster", "drain", "node-1", "--inventory", lab)
    assert again.out.startswith("node-1: was drained already")
    assert f"by {SUITE.submitter}: a fan" in ntlbg("cluster", "drained").out
    why = ntlbg("explain", run_id, "--inventory", lab).out
    assert "nodes here have none; drained: node-1" in why
    assert "did you mean 'node-1'?" in ntlbg("cluster", "undrain", "node1").err
    assert ntlbg("cluster", "undrain", "node-1").out == "node-1: runs may start there again\n"
    gone = ntlbg("cluster", "undrain", "node-1")
    assert (gone.code, gone.err) == (
        2,
        "ntlbg: cluster undrain: 'node-1' is not drained; no node is\n",
    )


def test_a_caps_file_is_read_strictly_and_explained(
    service: Service, ntlbg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caps = tmp_path / "caps.json"
    (run_id,) = service.ledger.submit(SUITE, [a_gang(2)]).new
    caps.write_text(json.dumps({"user": {"ann": 2}}))
    wrong = ntlbg("controller", "--caps", caps)
    assert wrong.code == 2
    assert "caps.json: user: unknown key; did you mean 'users'?" in wrong.err
    caps.write_text(json.dumps({"users": {"ann": 0}}))
    assert "users.ann: must be at least 1 or null, got 0" in ntlbg("controller", "--caps", caps).err
    caps.write_text(json.dumps({"users": {"*": 1}}))
    monkeypatch.setenv("NTLBG_CAPS", str(caps))
    why = ntlbg("explain", run_id).out
    assert f"user {SUITE.submitter} may hold 1 GPUs at once" in why


def test_a_run_that_waits_for_a_cap_says_which(
    service: Service, ntlbg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.ledger.submit(SUITE, [new_run(seed=seed) for seed in (1, 2)])
    replace(service.controller, caps=Caps(suites={"s": 1})).step()
    (waits,) = service.ledger.queued()
    caps = tmp_path / "caps.json"
    caps.write_text(json.dumps({"suites": {"s": 1}}))
    why = ntlbg("explain", waits.run_id, "--caps", caps).out
    assert "why waiting: suite s holds 1 of 1 GPUs" in why


def test_a_run_is_moved_in_the_queue(service: Service, ntlbg: Command) -> None:
    first, second = service.ledger.submit(SUITE, [new_run("a"), new_run("b")]).new
    said = ntlbg("priority", second, "1").out
    assert said == f"g/b seed 1  {second}  queued  priority 0 -> 1\n"
    assert "had it already" in ntlbg("priority", second, "1").out
    assert service.ledger.events_of(second)[-1].message.startswith("priority 0 -> 1 by ")
    assert [run.run_id for run in service.ledger.queued()] == [second, first]
    ntlbg("priority", "s", "3")
    assert {run.priority for run in service.ledger.queued()} == {3}
    service.run_all()
    assert "every run has ended already" in ntlbg("priority", "s", "4").out
    ended = ntlbg("priority", second, "5")
    assert ended.code == 2 and f"run {second} has ended: finished" in ended.err
