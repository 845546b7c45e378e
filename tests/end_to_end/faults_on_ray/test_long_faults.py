"""Faults that take longer: processes that hang, disks, nodes, heads, MLflow and PostgreSQL."""

from pathlib import Path

import pytest

from tests.support.databases import Postgres
from tests.support.faults_on_ray import scenes
from tests.support.faults_on_ray.rows import Row
from tests.support.faults_on_ray.scenes import LONG, Stage
from tests.support.ray_cluster import RayCluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def stage(
    ray_cluster: RayCluster, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage(ray_cluster, data_root, tmp_path_factory.mktemp("faults"), LONG)


def check(rows: list[Row]) -> None:
    """Nothing is lost but the steps since the last checkpoint, nothing is there twice, and every
    bit is the undisturbed run's."""
    for row in rows:
        assert (row.runs_lost, row.doubled, row.different) == (0, [], []), row
        assert 0 <= row.lost_steps <= row.save_steps, row


def test_a_node_is_killed(stage: Stage) -> None:
    (row,) = rows = scenes.node(stage)
    check(rows)
    # Ray may take some seconds to miss the node; what is sent there meanwhile comes back at once.
    assert row.attempts in (2, 3)


def test_the_head_is_killed(stage: Stage) -> None:
    (row,) = rows = scenes.head(stage)
    check(rows)
    assert row.attempts == 2


def test_mlflow_is_gone_for_a_minute(stage: Stage) -> None:
    (row,) = rows = scenes.mlflow_away(stage)
    check(rows)
    assert row.attempts == 1


def test_postgresql_is_gone_for_a_minute(stage: Stage, postgres: Postgres) -> None:
    (row,) = rows = scenes.postgres_away(stage, postgres)
    check(rows)
    assert row.attempts == 1


def test_hung_workers_full_disks_and_a_kill_before_the_marker(stage: Stage) -> None:
    rows = scenes.hangs_and_disks(stage)
    check(rows)
    killed, leader, other, storage, disk = (row.ended_as for row in rows)
    assert "without a word" in killed or "Connection reset by peer" in killed
    assert leader.startswith("no sign of life for ")
    assert other.startswith("alive, but no step and no answer for ")
    assert "No space left on device" in storage and "checkpoint of step" in storage
    assert "no space left" in disk.lower()
