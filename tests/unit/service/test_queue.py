"""The controller's queue: read once, and again as far as it has changed."""

import gc
from pathlib import Path

import pytest

from ntlbg_service.controller.ledger_snapshot import LedgerSnapshot
from ntlbg_service.controller.queue import Queue
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.cluster import Job
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Waiting
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, cpu_fit, new_ledger, new_run, tiny_config

FIT = cpu_fit(tiny_config())


class Looks:
    """A queue on a ledger, and which runs each look had to read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = new_ledger(folder)
        self.queue = Queue()
        self.read: list[str] = []
        waiting = self.ledger.waiting

        def spied(run_ids: list[str]) -> dict[str, Waiting]:
            self.read = list(run_ids)
            return waiting(run_ids)

        monkeypatch.setattr(self.ledger, "waiting", spied)

    def look(self) -> list[Job]:
        seen = LedgerSnapshot(self.ledger, Caps())
        return list(self.queue.jobs(self.ledger, 1e6, None, seen.job_of))


def test_each_look_reads_what_is_new_or_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = Looks(tmp_path, monkeypatch)
    ledger: Ledger = looks.ledger
    first, second = ledger.submit(SUITE, [new_run("a"), new_run("b")]).new
    assert [job.run_id for job in looks.look()] == [first, second]
    assert looks.read == [first, second]
    (third,) = ledger.submit(SUITE, [new_run("c")]).new
    ledger.prioritise(second, 1, "ada")
    ledger.request(first, DesiredState.PAUSE, "ada")
    jobs = looks.look()
    assert [(job.run_id, job.priority) for job in jobs] == [(second, 1), (third, 0)]
    assert sorted(looks.read) == sorted([second, third])
    assert looks.queue.labels([third, first]) == {third: "g/c seed 1"}
    looks.look()
    assert looks.read == []


def test_what_ran_in_between_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(tmp_path, monkeypatch)
    (run_id,) = looks.ledger.submit(SUITE, [new_run()]).new
    looks.look()
    run = looks.ledger.run(run_id)
    attempt = start_attempt(looks.ledger, run, FIT, None, "local", "")
    looks.ledger.end_attempt(attempt, AttemptState.LOST, RunState.QUEUED, exclude=["n1"])
    (job,) = looks.look()
    assert job.excluded == {"n1"}


def test_more_than_are_written_together_start_and_end_in_one_step(tmp_path: Path) -> None:
    service = Service(tmp_path, places=70)
    ids = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(70)]).new
    service.controller.step()
    assert {spec.run_id for spec in service.executor.running.values()} == set(ids)
    for run_id in ids:
        service.executor.complete(run_id)
    assert not service.controller.step()
    assert {run.state for run in service.ledger.current_runs("s")} == {RunState.FINISHED}
    assert {len(service.ledger.events_of(run_id)) for run_id in ids} == {3}


def test_an_attempt_that_nobody_may_carry_holds_no_other_up(tmp_path: Path) -> None:
    service = Service(tmp_path, places=3)
    bad, *good = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(3)]).new
    service.storage.put(AttemptKeys(bad, 1).process, {"pid": 0, "started": 0.0})
    service.run_all()
    assert {service.ledger.run(run_id).state for run_id in (bad, *good)} == {RunState.FINISHED}
    assert [len(service.ledger.attempts_of(run_id)) for run_id in (bad, *good)] == [2, 1, 1]


def test_garbage_is_looked_for_again_after_a_step(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.ledger.submit(SUITE, [new_run()])
    assert gc.isenabled()
    service.controller.step()
    assert gc.isenabled()
    gc.disable()
    try:
        service.controller.step()
        assert not gc.isenabled()
    finally:
        gc.enable()
