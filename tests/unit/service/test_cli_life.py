"""Looking at runs: status, explain, logs, watch. Names are found or a near one is offered."""

from dataclasses import replace
from pathlib import Path

import pytest

from ntlbg_service.domain.launch import ExitRecord, Heartbeat, MetricLine, to_json
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.builders import SUITE, Service, a_beat, new_run
from tests.support.life import Command, command_on
from tests.support.simulated_executor import finishes


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """Two variants on two seeds, nothing started."""
    service = Service(tmp_path / "home", places=1)
    service.ledger.submit(SUITE, [new_run(v, s) for s in (1, 2) for v in ("uniform", "ntlbg")])
    return service


@pytest.fixture
def ntlbg(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return command_on(service, monkeypatch, capsys)


def started(service: Service) -> AttemptKeys:
    """The one attempt that a step of the controller starts."""
    service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    return AttemptKeys(attempt.run_id, attempt.number)


def loses(service: Service, keys: AttemptKeys) -> AttemptKeys:
    """The attempt after one whose driver ends without a word, when the pause is over."""
    service.executor.outcome = lambda spec: None
    service.executor.complete(keys.run_id)
    service.executor.outcome = finishes
    following = AttemptKeys(keys.run_id, keys.attempt + 1)
    for _ in range(1000):
        service.controller.step()
        if following.folder in service.executor.running:
            return following
        for spec in list(service.executor.running.values()):
            service.executor.complete(spec.run_id)
    raise AssertionError("no further attempt")


def test_status_says_where_runs_were_planned_and_where_they_are(
    service: Service, ntlbg: Command
) -> None:
    """Of a submission whose plan has one of its runs, and on another kind."""
    started(service)
    fit = {"profile": "V100-32GB", "workers": 1}
    times = {"start_hours": 0.0, "end_hours": 1.0}
    row = {"group": "g", "variant": "uniform", "seed": 1, "nodes": ["v1"], "fit": fit, **times}
    service.ledger.submit(replace(SUITE, spec={"plan": {"runs": [row]}}), [])
    said = ntlbg("status", "s", "--planned")
    lines = said.out.splitlines()
    assert lines[:2] == ["s:", "  g/uniform:1  cpu on cpu-1; planned: V100-32GB on v1"]
    assert "v1 was not there" in lines[2]
    assert lines[3] == "  g/ntlbg:1  nowhere yet; planned: not planned"
    assert lines[-1] == "0 of 1 runs that started are where they were planned."
    (rows,) = ntlbg("status", "--planned", "--json").json.values()
    assert [each["agrees"] for each in rows] == [False] * 4
    assert rows[0]["planned"] == {"profile": "V100-32GB", "nodes": ["v1"], "workers": 1, **times}
    assert rows[0]["used"] == {"profile": "cpu", "nodes": ["cpu-1"], "workers": 1}
    assert rows[1]["planned"] is None and rows[1]["used"] is None


def test_status_shows_every_run_and_why(service: Service, ntlbg: Command) -> None:
    started(service)
    said = ntlbg("status")
    lines = said.out.splitlines()
    assert lines[0] == "s: 3 queued, 1 running"
    assert [line.split()[0] for line in lines[1:]] == [
        "g/uniform:1",
        "g/ntlbg:1",
        "g/uniform:2",
        "g/ntlbg:2",
    ]
    rows = ntlbg("status", "s", "--state", "running", "--json", "--events").json
    assert [(row["state"], row["on"], row["attempts"]) for row in rows] == [("running", "cpu", 1)]
    assert [event["kind"] for event in rows[0]["events"]] == ["submitted", "launched"]


def test_a_run_is_its_id_a_beginning_of_it_or_its_label(service: Service, ntlbg: Command) -> None:
    run = service.ledger.current_runs("s")[1]
    for word in (run.run_id, run.run_id[:9], "g/ntlbg:1", "ntlbg:1", "s/ntlbg:1"):
        (row,) = ntlbg("status", word, "--json").json
        assert row["run_id"] == run.run_id


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("status", "g/ntlgb:1"), "unknown suite or run 'g/ntlgb:1'; did you mean 'g/ntlbg:1'?"),
        (("explain", "g/uniform:3"), "unknown run 'g/uniform:3'; did you mean 'g/uniform:"),
        (("watch", "t"), "unknown suite 't'; known: s"),
        (("logs", "g/ntlbg:1"), "g/ntlbg seed 1 has not started: queued; 'ntlbg explain"),
        (("logs", "g/ntlbg:1", "--attempt", "2"), "has no attempt 2; valid: none"),
        (("status", "--state", "done"), "'done' is not one of"),
    ],
)
def test_a_mistake_is_one_line(ntlbg: Command, words: tuple[str, ...], said: str) -> None:
    done = ntlbg(*words)
    assert done.code == 2 and done.out == ""
    assert said in done.err


def test_nothing_submitted_is_said_and_makes_no_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ntlbg: Command
) -> None:
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "other"))
    assert "nothing was submitted here yet" in ntlbg("status").out
    assert ntlbg("status", "--json").json == []
    assert ntlbg("explain", "x").code == 2
    assert not (tmp_path / "other").exists()


def test_explain_says_what_a_queued_run_waits_for(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    running = service.ledger.run(keys.run_id)
    waiting = next(run for run in service.ledger.queued() if run.run_id != running.run_id)
    said = ntlbg("explain", waiting.run_id).out
    assert "why waiting: waits for " in said or "its place on " in said
    assert "settings on cpu: fp32" in said and "GiB (closed form)" in said
    assert "submitted: queued" in said


def test_explain_names_the_nodes_that_are_too_few(
    service: Service, ntlbg: Command, tmp_path: Path
) -> None:
    inventory = tmp_path / "gpus.json"
    inventory.write_text(
        '{"name": "gpus", "groups": [{"profile": "A100-80GB", "nodes": 1, "gpus": 8, '
        '"cores": 64, "host_memory_gib": 500}]}'
    )
    said = ntlbg("explain", "ntlbg:1", "--inventory", inventory)
    assert "needs 1 x cpu together; nodes here have 8 x A100-80GB" in said.out, said.err


def test_explain_sets_measured_memory_beside_the_prediction(
    service: Service, ntlbg: Command
) -> None:
    keys = started(service)
    assert "GiB, not measured" in ntlbg("explain", keys.run_id).out
    beat = Heartbeat(
        attempt=1, time=1.0, step=2, pid=1, host="h", memory_mib=900.0, peak_memory_mib=1024.0
    )
    service.storage.touch(keys.heartbeat, to_json(beat))
    said = ntlbg("explain", keys.run_id).out
    assert "measured peak 1.00 GiB" in said and "last sign of life" in said
    loses(service, keys)
    again = ntlbg("explain", keys.run_id).out
    assert "attempt 1 on cpu" in again and "the driver ended without an exit record" in again
    assert "attempt 2 on cpu" in again and "lost to the infrastructure (1 of 3" in again


def test_a_training_that_waits_for_storage_says_so(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    service.storage.touch(keys.heartbeat, a_beat(2) | {"awaited": 2})
    assert ", writing the checkpoint of step 2" in ntlbg("watch", "--once").out
    record = ExitRecord(
        run_id=keys.run_id,
        attempt=1,
        finished=True,
        ended_at=2.0,
        train_seconds=100.0,
        waited_seconds=12.0,
    )
    service.storage.put(keys.exit, to_json(record))
    assert "; 12 s of it writing checkpoints" in ntlbg("explain", keys.run_id).out


def test_what_is_brought_to_the_nodes_is_seen(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    beat = Heartbeat(
        attempt=1,
        time=1.0,
        step=0,
        pid=1,
        host="h",
        memory_mib=None,
        peak_memory_mib=None,
        staging="weights of base: 3.1 of 16.0 GiB",
    )
    service.storage.touch(keys.heartbeat, to_json(beat))
    assert "staging  attempt 1  cpu  weights of base: 3.1 of" in ntlbg("status").out
    assert ntlbg("status", "--json").json[0]["staging"] == beat.staging
    assert "staging, weights of base" in ntlbg("watch", "--once").out
    assert "now staging, weights of base: 3.1 of 16.0 GiB" in ntlbg("explain", keys.run_id).out
    done = {"host": "lab-1", "seconds": 42.0, "copied_bytes": 16 * 1024**3, "copied_files": 4}
    service.storage.put(keys.staged(0), done)
    service.storage.put(keys.staged(1), done | {"host": "lab-2", "copied_files": 0})
    said = ntlbg("explain", keys.run_id).out
    assert "staging on lab-1 took 42 s, 16.00 GiB copied" in said
    assert "staging on lab-2 took 42 s, all of it was there" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--stage-to", "scratch"), "must be the same on every node"),
        (("--stage-limit", "5"), "--stage-to DIR says where"),
        (("--stage-limit", "0", "--stage-to", "/x"), "--stage-limit"),
    ],
)
def test_a_wrong_place_for_copies_is_said_before_anything_starts(
    ntlbg: Command, words: tuple[str, ...], says: str
) -> None:
    said = ntlbg("controller", *words)
    assert said.code == 2 and says in said.err


def test_logs_come_from_the_first_byte(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    log = service.storage.path(keys.log)
    log.write_bytes("first é\n".encode() + b"x" * 100_000 + b"\nlast")
    said = ntlbg("logs", keys.run_id)
    assert said.out.startswith("first ") and said.out.endswith("\nlast")
    service.executor.complete(keys.run_id)
    service.controller.step()
    assert len(ntlbg("logs", "-f", keys.run_id).out) == len(said.out)


def test_following_goes_from_attempt_to_attempt(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    service.storage.path(keys.log).write_text("one\n")
    again = loses(service, keys)
    service.storage.path(again.log).write_text("two\n")
    service.executor.complete(keys.run_id)
    service.controller.step()
    said = ntlbg("logs", keys.run_id, "-f", "--attempt", "1")
    assert said.out == "one\n"
    assert ntlbg("logs", keys.run_id).out == "two\n"


def test_watch_shows_progress_memory_and_what_is_left(service: Service, ntlbg: Command) -> None:
    keys = started(service)
    for step, time in ((1, 10.0), (2, 13.0)):
        line = MetricLine(attempt=1, step=step, time=time, values={"train/loss": 0.5})
        service.storage.append(keys.metrics, to_json(line))
    lines = ntlbg("watch", "--once").out.splitlines()
    assert lines[1].split() == [
        *("run", "attempt", "on", "peak", "/", "predicted", "alive", "training", "left", "now")
    ]
    assert "training 2/4, loss 0.500" in lines[2] and " 6 s " in lines[2]
    (row,) = ntlbg("status", keys.run_id, "--json").json
    assert row["seconds_per_step"] == 3.0 and row["training_seconds_left"] == 6.0
    service.run_all()
    assert "finished" in ntlbg("watch", "s").out


def test_cancelling_a_suite_ends_what_waits_and_asks_for_the_rest(
    service: Service, ntlbg: Command
) -> None:
    running = started(service).run_id
    said = ntlbg("cancel", "s").out
    assert said.count("  cancelled") == 3 and "is stopped, then cancelled" in said
    assert "no controller leads here now" in said
    assert ntlbg("status", "s").out.startswith("s: 1 running, 3 cancelled")
    assert service.ledger.run(running).wanted == "cancel"
    assert ntlbg("cancel", "g/ntlbg:2").code == 0
    service.ledger.lead("host-1", 1e12)
    assert "controller host-1 leads" in ntlbg("cancel", running).out


def test_a_finished_run_is_neither_cancelled_nor_retried(service: Service, ntlbg: Command) -> None:
    service.run_all()
    said = ntlbg("cancel", "g/ntlbg:1")
    assert said.code == 2 and "has ended: finished" in said.err
    assert "every run has ended already" in ntlbg("cancel", "s").out
    said = ntlbg("retry", "g/ntlbg:1")
    assert (
        said.code == 2 and "is finished; this repeats what is failed, cancelled, lost" in said.err
    )
    assert ntlbg("retry", "s").out == "Nothing to repeat.\n"


def test_retry_queues_what_ended_badly_once(service: Service, ntlbg: Command) -> None:
    ntlbg("cancel", "g/ntlbg:1")
    assert ntlbg("retry", "--failed", "s").out == "Nothing to repeat.\n"
    assert "queued again as " in ntlbg("retry", "s", "--priority", "3").out
    assert ntlbg("retry", "s").out == "Nothing to repeat.\n"
    (row,) = ntlbg("status", "g/ntlbg:1", "--json").json
    assert row["state"] == "queued"
    assert service.ledger.run(row["run_id"]).priority == 3


def test_hours_are_shown_and_a_repetition_may_have_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    ntlbg = command_on(service, monkeypatch, capsys)
    (run_id,) = service.ledger.submit(SUITE, [replace(new_run(), max_hours=2.0)]).new
    keys = started(service)
    (attempt,) = service.ledger.active_attempts()
    for hours, said in ((1.5, "1.5 of 2 h used"), (2.0, "failed: used its 2 h")):
        beat = Heartbeat(
            attempt=1,
            time=attempt.launched_at + 3600 * hours,
            step=2,
            pid=1,
            host="h",
            memory_mib=1.0,
            peak_memory_mib=1.0,
        )
        service.storage.touch(keys.heartbeat, to_json(beat))
        service.controller.step()
        assert said in ntlbg("explain", run_id).out
    (row,) = ntlbg("status", run_id, "--json").json
    assert (row["max_hours"], row["hours_used"]) == (2.0, 2.0)
    assert "queued again" in ntlbg("retry", run_id, "--max-hours", "3").out
    (row,) = ntlbg("status", "s", "--json").json
    assert (row["state"], row["max_hours"], row["hours_used"]) == ("queued", 3.0, 0.0)


def test_pausing_and_resuming(service: Service, ntlbg: Command) -> None:
    assert "  paused" in ntlbg("pause", "g/ntlbg:1").out
    assert ntlbg("status", "g/ntlbg:1").out.endswith("  queued  -  -  paused\n")
    assert service.ledger.run(ntlbg("status", "ntlbg:1", "--json").json[0]["run_id"]).wanted == (
        "pause"
    )
    assert "why waiting: paused; 'ntlbg resume" in ntlbg("explain", "ntlbg:1").out
    assert "  queued" in ntlbg("resume", "g/ntlbg:1").out
