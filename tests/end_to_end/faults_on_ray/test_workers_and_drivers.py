"""kill -9 of what computes: found at once, and the run goes on to the undisturbed run's bits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.faults_on_ray.home import SAVE_STEPS, Home
from tests.end_to_end.faults_on_ray.hurts import kill_driver, kill_worker
from tests.end_to_end.faults_on_ray.rows import suffer, undisturbed
from tests.ray_cluster import RayCluster


@pytest.fixture
def home(ray_cluster: RayCluster, data_root: Path, tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path / "home", data_root, ray_cluster.environment)
    home.start_controller()
    yield home
    home.close()


def test_a_killed_worker_and_then_a_killed_driver_cost_a_few_steps(home: Home) -> None:
    whole = undisturbed(home)
    worker, driver = suffer(home, {"worker": kill_worker, "driver": kill_driver}, whole)
    for row in (worker, driver):
        assert (row.runs_lost, row.doubled, row.different, row.attempts) == (0, [], [], 3)
        assert 0 <= row.lost_steps <= SAVE_STEPS
    assert "Connection reset by peer" in worker.ended_as or "without a word" in worker.ended_as
    assert driver.ended_as == "the driver ended without an exit record"
