"""A driver for which there is no Ray says so, and its run is tried again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from ntlbg_service.domain.launch import LaunchSpec, Trial, Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.results.attempts import read_exit
from ntlbg_service.runner.sweep import sweep
from ntlbg_service.runner.train import train
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import SUITE, Service, new_run

Drive = Callable[[LaunchSpec, LocalStorage], None]


def as_sweep(spec: LaunchSpec) -> LaunchSpec:
    trial = Trial(name="a", point={}, config=spec.config, fit=spec.fit)
    return replace(spec, work=Work.SWEEP, trials=(trial,))


@pytest.mark.parametrize(("drive", "of"), [(train, lambda spec: spec), (sweep, as_sweep)])
def test_a_ray_that_does_not_start_is_infrastructure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    drive: Drive,
    of: Callable[[LaunchSpec], LaunchSpec],
) -> None:
    def busy(**_: object) -> None:
        raise Exception("The dashboard did not start in time\nlast lines of its log")

    monkeypatch.setattr(ray, "init", busy)
    service = Service(tmp_path)
    (run_id,) = service.ledger.submit(SUITE, [new_run()]).new
    service.controller.step()
    drive(of(service.executor.running[AttemptKeys(run_id, 1).folder]), service.storage)
    record = read_exit(service.storage, AttemptKeys(run_id, 1))
    assert record is not None and record.failure is FailureClass.INFRASTRUCTURE
    assert record.message.endswith("no Ray for the driver: The dashboard did not start in time")
    service.executor.stop(AttemptKeys(run_id, 1))
    service.controller.step()
    (attempt,) = service.ledger.attempts_of(run_id)
    assert attempt.state is AttemptState.FAILED and "no Ray" in attempt.message
    assert service.ledger.run(run_id).state is RunState.QUEUED
