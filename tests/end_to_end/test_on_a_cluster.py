"""The same command on a cluster: every run is a Ray Job there."""

import re
from pathlib import Path

import pytest

from tests.support.command_line import Cli, write_suite
from tests.support.mlflow_database import mlflow_runs
from tests.support.ray_cluster import RayCluster


@pytest.mark.long
def test_a_suite_runs_as_jobs(
    cli: Cli, tmp_path: Path, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.address)
    suite = write_suite(tmp_path)
    done = cli("run", suite, "--variant", "uniform")
    assert done.returncode == 0, done.stdout + done.stderr
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}
    (log,) = cli.home.glob("storage/runs/*/attempt-0001/driver.log")
    assert re.search(rf"address: {re.escape(ray_cluster.address)}", log.read_text())
    assert (cli.home / "storage/home.json").is_file()
