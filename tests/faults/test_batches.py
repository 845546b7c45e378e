"""A controller that dies within a step in which it starts or ends many: the next does the rest."""

from dataclasses import replace
from pathlib import Path

import pytest

from ntlbg_service.domain.states import RunState
from ntlbg_service.ledger.integrity import check
from ntlbg_service.process.fault_points import FaultPoints
from tests.support.builders import SUITE, Service, new_run
from tests.support.faults.schedules import Died

RUNS = 5
DOORS = 2 + 2 + 2 * RUNS + 2
"""Before and after the intents, the specs, each launch, and the ends."""


def dying_at(service: Service, door: int) -> list[str]:
    """The controller ends at its so many-th door; says which it passes."""
    passed: list[str] = []

    def at_point(name: str) -> None:
        passed.append(name)
        if len(passed) == door:
            raise Died

    effects = replace(service.controller.effects, door=FaultPoints(at_point=at_point))
    service.controller = replace(service.controller, effects=effects)
    return passed


@pytest.mark.parametrize("door", range(1, DOORS + 1))
def test_a_controller_that_dies_among_many_leaves_none_behind(tmp_path: Path, door: int) -> None:
    service = Service(tmp_path, places=RUNS)
    ids = service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(RUNS)]).new
    passed = dying_at(service, door)
    with pytest.raises(Died):
        while True:
            service.controller.step()
            for run_id in ids:
                service.executor.complete(run_id)
    assert len(passed) == door
    service.restart()
    service.run_all()
    assert {service.ledger.run(run_id).state for run_id in ids} == {RunState.FINISHED}
    assert sorted(service.executor.launched) == sorted(f"{run_id}-0001" for run_id in ids)
    told = [entry.topic for entry in service.ledger.unsent()]
    assert sorted(told) == sorted(["run_started", "run_finished"] * RUNS + ["suite_finished"])
    assert check(service.ledger._engine).problems == ()


def test_these_are_all_the_doors_of_such_a_life(tmp_path: Path) -> None:
    service = Service(tmp_path, places=RUNS)
    service.ledger.submit(SUITE, [new_run(seed=seed) for seed in range(RUNS)])
    passed = dying_at(service, 0)
    service.run_all()
    words = ["start", "spec", *["launch"] * RUNS, "end"]
    assert passed == [f"{when} {word}" for word in words for when in ("before", "after")]
    assert len(passed) == DOORS
