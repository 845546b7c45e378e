"""`ntlbg doctor` on a real cluster: a task on every node, a label that is wrong."""

import json

import pytest

from ntlbg_service.domain.hardware.labels import GPUS, PROFILE
from tests.support.command_line import Cli, until
from tests.support.ray_cluster import RayCluster


def test_a_cluster_is_examined_node_by_node(
    cli: Cli, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster.dashboard)
    labels = {PROFILE: "A100-80GB", GPUS: "simulated"}
    fine = ray_cluster.add_node(num_cpus=1, num_gpus=2, labels=labels)
    odd = ray_cluster.add_node(num_cpus=1, num_gpus=1, labels={PROFILE: "V100-32GB"})
    try:
        until(lambda: {fine, odd} <= ray_cluster.reported(), "the dashboard's word of all nodes")
        said = cli("doctor", "--json")
    finally:
        for node in (fine, odd):
            ray_cluster.remove_node(node)
    assert said.returncode == 4, said.stdout + said.stderr
    found = {row["check"]: row for row in json.loads(said.stdout)}
    assert found["authentication"]["level"] == "ok"
    assert found["labels"]["level"] == "problem"
    assert "label says V100-32GB, NVML shows no GPU" in found["labels"]["what"]
    assert found["nodes"]["what"] == "a task ran on each of 3 nodes"
    assert "on 4 machines" in found["versions"]["what"]
    assert found["storage"]["what"].endswith("from here and 3 nodes")
    assert found["clocks"]["level"] == "ok"
    assert found["ray"]["what"] == f"{ray_cluster.dashboard}: 3 nodes"
    assert not cli.home.exists()
