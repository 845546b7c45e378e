"""One contract, every executor: start once, see what another process started, stop whole."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ntlbg_model.config import Config, ModelConfig, TrainingConfig
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.executors.choice import executor as choose
from ntlbg_service.executors.contract import Executor, LaunchStatus
from ntlbg_service.executors.job_client import ClusterAwayError
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.executors.ray_jobs import RayJobsExecutor
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import cpu_fit, tiny_config
from tests.support.command_line import until
from tests.support.ray_cluster import RayCluster
from tests.support.simulated_executor import SimulatedExecutor

KEYS = AttemptKeys("run", 1)
Make = Callable[[], Executor]
EVERY = ("simulated", "local", "ray_jobs")
REAL = ("local", "ray_jobs")


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def make(request: pytest.FixtureRequest, storage: LocalStorage) -> Iterator[Make]:
    """Makes executors on one storage; the second stands for a controller started later."""
    made_one = maker(request, storage)
    all_made: list[Executor] = []

    def made() -> Executor:
        all_made.append(made_one())
        return all_made[-1]

    yield made
    for executor in all_made:
        executor.stop(KEYS)


def maker(request: pytest.FixtureRequest, storage: LocalStorage) -> Make:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    if request.param == "local":
        return lambda: LocalExecutor(storage, environment)
    if request.param == "simulated":
        shared = SimulatedExecutor(storage)
        return lambda: shared
    cluster: RayCluster = request.getfixturevalue("ray_cluster")
    return lambda: RayJobsExecutor(storage, {**environment, **cluster.environment})


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


@pytest.mark.parametrize("make", EVERY, indirect=True)
def test_a_launch_starts_once_and_is_seen_and_ended_by_others(
    make: Make, storage: LocalStorage
) -> None:
    executor = make()
    assert executor.status(KEYS) is LaunchStatus.ABSENT
    executor.launch(spec(storage, tiny_config()))
    claim = until(lambda: storage.get(KEYS.process), "the claim")
    other = make()
    assert executor.status(KEYS) is other.status(KEYS) is LaunchStatus.RUNNING

    other.launch(spec(storage, tiny_config()))
    assert executor.status(KEYS) is LaunchStatus.RUNNING
    assert storage.get(KEYS.process) == claim

    family = family_of(claim, storage) if executor.name in REAL else []
    executor.stop(KEYS)
    until(lambda: not any(member.is_running() for member in family), "the end of its processes")
    assert executor.status(KEYS) is make().status(KEYS) is LaunchStatus.ENDED
    executor.stop(KEYS)


def family_of(claim: dict[str, float], storage: LocalStorage) -> list[psutil.Process]:
    """The driver and its Ray's processes, once they are there."""
    driver = psutil.Process(int(claim["pid"]))
    until(lambda: "TrainController" in log_of(storage), "the driver's Ray")
    return [driver, *driver.children(recursive=True)]


@pytest.mark.parametrize(
    "make", ["local", pytest.param("ray_jobs", marks=pytest.mark.long)], indirect=True
)
def test_wrong_input_at_run_time_is_a_user_failure(make: Make, storage: LocalStorage) -> None:
    config = Config(
        model=ModelConfig(base_model="nobody/has-this-2B"),
        training=TrainingConfig(max_steps=0, warmup_steps=0),
    )
    executor = make()
    executor.launch(spec(storage, config))
    record = until(lambda: storage.get(KEYS.exit), "the exit record")
    until(lambda: executor.status(KEYS) is LaunchStatus.ENDED, "the driver's end")
    assert record["failure"] == "user"
    assert "nobody/has-this-2B" in record["message"]
    assert json.dumps(record["message"]).count("\\n") == 0
    assert "nobody/has-this-2B" in log_of(storage)


def log_of(storage: LocalStorage) -> str:
    return storage.path(KEYS.log).read_text(errors="replace")


def test_homes_on_one_cluster_have_jobs_of_their_own(tmp_path: Path) -> None:
    """Also one that was deleted and made again."""
    cluster = {"RAY_ADDRESS": "http://127.0.0.1:1"}
    homes = [LocalStorage(tmp_path / name) for name in ("a", "a", "b")]
    first, again, other = (RayJobsExecutor(home, cluster).submission_id(KEYS) for home in homes)
    assert first == again != other
    assert first.startswith("run-0001-")


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://[::1"])
def test_a_cluster_that_is_away_says_nothing_about_a_launch(
    storage: LocalStorage, address: str
) -> None:
    executor = RayJobsExecutor(storage, {"RAY_ADDRESS": address})
    with pytest.raises(ClusterAwayError, match=re.escape(f"Ray at {address}")):
        executor.status(KEYS)


def test_the_executor_follows_the_cluster(storage: LocalStorage) -> None:
    cluster = {"RAY_ADDRESS": "http://127.0.0.1:1"}
    assert choose(storage, {}).name == "local"
    assert choose(storage, cluster).name == "ray_jobs"
    assert choose(storage, cluster, "local").name == "local"
    with pytest.raises(UserError, match="RAY_ADDRESS"):
        choose(storage, {}, "ray_jobs")
