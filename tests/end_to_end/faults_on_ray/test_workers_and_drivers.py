"""kill -9 of what computes: found at once, and the run goes on to the undisturbed run's bits."""

from pathlib import Path

import pytest

from tests.support.faults_on_ray import scenes
from tests.support.ray_cluster import RayCluster


def test_a_killed_worker_costs_a_few_steps(
    ray_cluster: RayCluster, data_root: Path, tmp_path: Path
) -> None:
    (worker,) = scenes.killed_worker(scenes.Stage(ray_cluster, data_root, tmp_path))
    assert (worker.runs_lost, worker.doubled, worker.different, worker.attempts) == (0, [], [], 2)
    assert 0 <= worker.lost_steps <= worker.save_steps, worker
    assert "by peer" in worker.ended_as or "without a word" in worker.ended_as


@pytest.mark.long
def test_a_killed_worker_and_then_a_killed_driver_cost_a_few_steps(
    ray_cluster: RayCluster, data_root: Path, tmp_path: Path
) -> None:
    worker, driver = scenes.processes(scenes.Stage(ray_cluster, data_root, tmp_path))
    for row in (worker, driver):
        assert (row.runs_lost, row.doubled, row.different, row.attempts) == (0, [], [], 3), row
        assert 0 <= row.lost_steps <= row.save_steps, row
    assert "by peer" in worker.ended_as or "without a word" in worker.ended_as
    assert driver.ended_as == "the driver ended without an exit record"
