"""One contract, every executor: start once, see what another process started, stop whole."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ntlbg_model.config import Config, ModelConfig, TrainingConfig
from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.executors.contract import Executor, LaunchStatus
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.executors.simulated import SimulatedExecutor
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.builders import cpu_fit, tiny_config
from tests.end_to_end.conftest import until

KEYS = AttemptKeys("run", 1)
Make = Callable[[], Executor]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture(params=["simulated", "local"])
def make(request: pytest.FixtureRequest, storage: LocalStorage) -> Iterator[Make]:
    """Makes executors on one storage; the second stands for a controller started later."""
    shared = SimulatedExecutor(storage)
    all_made: list[Executor] = []

    def made() -> Executor:
        all_made.append(shared if request.param == "simulated" else local(storage))
        return all_made[-1]

    yield made
    for executor in all_made:
        executor.stop(KEYS)


def local(storage: LocalStorage) -> LocalExecutor:
    return LocalExecutor(storage, {**os.environ, "HF_HUB_OFFLINE": "1"})


def spec(storage: LocalStorage, config: Config) -> LaunchSpec:
    found = LaunchSpec(
        launch_id="run-0001",
        run_id="run",
        attempt=1,
        work=Work.TRAIN,
        config=config,
        seed=1,
        fit=cpu_fit(tiny_config()),
        storage=str(storage.root),
        data_root=str(storage.root),
        cache=str(storage.root / "cache"),
    )
    storage.put(KEYS.spec, to_json(found))
    return found


def test_a_launch_is_absent_running_ended(make: Make, storage: LocalStorage) -> None:
    executor = make()
    assert executor.status(KEYS) is LaunchStatus.ABSENT
    executor.launch(spec(storage, tiny_config()))
    until(lambda: storage.get(KEYS.process), "the claim")
    assert executor.status(KEYS) is LaunchStatus.RUNNING
    assert make().status(KEYS) is LaunchStatus.RUNNING
    executor.stop(KEYS)
    assert executor.status(KEYS) is LaunchStatus.ENDED
    assert make().status(KEYS) is LaunchStatus.ENDED
    executor.stop(KEYS)


def test_a_second_start_of_an_attempt_is_refused(make: Make, storage: LocalStorage) -> None:
    executor = make()
    executor.launch(spec(storage, tiny_config()))
    claim = until(lambda: storage.get(KEYS.process), "the claim")
    other = make()
    other.launch(spec(storage, tiny_config()))
    assert executor.status(KEYS) is LaunchStatus.RUNNING
    assert storage.get(KEYS.process) == claim


def test_stopping_leaves_no_process(storage: LocalStorage) -> None:
    executor = local(storage)
    executor.launch(spec(storage, tiny_config()))
    claim = until(lambda: storage.get(KEYS.process), "the claim")
    driver = psutil.Process(int(claim["pid"]))
    family = until(lambda: driver.children(recursive=True), "the driver's Ray")
    executor.stop(KEYS)
    until(lambda: not any(member.is_running() for member in family), "the end of its processes")


def test_wrong_input_at_run_time_is_a_user_failure(storage: LocalStorage) -> None:
    config = Config(
        model=ModelConfig(base_model="nobody/has-this-2B"),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
    )
    executor = local(storage)
    executor.launch(spec(storage, config))
    record = until(lambda: storage.get(KEYS.exit), "the exit record")
    until(lambda: executor.status(KEYS) is LaunchStatus.ENDED, "the driver's end")
    assert record["failure"] == "user"
    assert "nobody/has-this-2B" in record["message"]
    assert json.dumps(record["message"]).count("\\n") == 0
