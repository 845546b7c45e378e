"""kill -9 of what computes: found at once, and the run goes on to the undisturbed run's bits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.faults_on_ray.home import SAVE_STEPS, Home
from tests.end_to_end.faults_on_ray.kills import kill_driver, kill_worker
from tests.end_to_end.faults_on_ray.outcome import Outcome
from tests.end_to_end.faults_on_ray.suffering import Row, suffer, undisturbed
from tests.ray_cluster import RayCluster


@pytest.fixture(scope="module")
def home(
    ray_cluster: RayCluster, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("faults") / "home"
    home = Home(folder, data_root, {**ray_cluster.environment, "RAY_ADDRESS": ray_cluster.address})
    home.start_controller()
    yield home
    home.close()


@pytest.fixture(scope="module")
def whole(home: Home) -> Outcome:
    return undisturbed(home)


def check(row: Row) -> None:
    """Nothing is lost but a few steps, nothing is there twice, and every bit is the same."""
    assert (row.runs_lost, row.doubled, row.different) == (0, [], [])
    assert row.lost_steps <= SAVE_STEPS


def test_a_killed_worker(home: Home, whole: Outcome) -> None:
    row = suffer(home, "worker", kill_worker, whole)
    check(row)
    assert row.attempts == 2
    assert row.ended_as[0].startswith("infrastructure:")


def test_a_killed_driver(home: Home, whole: Outcome) -> None:
    row = suffer(home, "driver", kill_driver, whole)
    check(row)
    assert row.ended_as == ["infrastructure: the driver ended without an exit record"]
