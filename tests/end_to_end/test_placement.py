"""Nodes by their names: what Ray tells of them, and workers on the very node of the placement."""

from pathlib import Path

import pytest

from ntlbg_service.nodes.inventory import inventory_of, ray_ids_of, read_nodes
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.submission.code_snapshot import ship, shipped_version
from tests.support.command_line import until
from tests.support.launches import Launches, small_config
from tests.support.ray_cluster import RayCluster

CONFIG = small_config(max_steps=2, save_steps=2)
CPU = {"ntlbg.io/profile": "cpu"}


@pytest.fixture
def launches(ray_cluster: RayCluster, data_root: Path, tmp_path: Path) -> Launches:
    return Launches(LocalStorage(tmp_path / "storage"), data_root, ray_cluster.environment)


@pytest.mark.long
def test_a_worker_runs_on_the_node_of_its_placement(
    ray_cluster: RayCluster, launches: Launches
) -> None:
    """Two like nodes, known by either form of the cluster's address."""
    added = [ray_cluster.add_node(num_cpus=1, labels=CPU) for _ in range(2)]
    try:
        until(lambda: set(added) <= ray_cluster.reported(), "the dashboard to hear of them")
        for address in (ray_cluster.address, ray_cluster.dashboard):
            nodes = read_nodes({"RAY_ADDRESS": address})
            ids = ray_ids_of(nodes)
            found = [ids[node.name] for node in inventory_of(nodes).nodes()]
            assert sorted(found) == sorted(added)
        code = changed_code(launches)
        for number, node in enumerate(added):
            keys = launches.start(f"on-{number}", CONFIG, placed=(node,), code=code)
            record = launches.end(keys)
            assert record["finished"], launches.log(keys)
            assert launches.nodes(keys) == [node]
            assert record["results"]["shipped"] == 1.0
    finally:
        for node in added:
            ray_cluster.remove_node(node)
    # One that went is seen to be gone, and not waited for.
    until(lambda: len(read_nodes({"RAY_ADDRESS": ray_cluster.address})) == 1, "the nodes' end")
    keys = launches.start("nowhere", CONFIG, placed=(added[0],))
    record = launches.end(keys)
    assert record["failure"] == "infrastructure" and added[0] in record["message"]


def changed_code(launches: Launches) -> str:
    """Code that tells what no other does, as a run has it that was submitted before a change."""
    folder = ship(launches.storage, shipped_version())
    summary = folder / "ntlbg_service/runner/summary.py"
    told = """
own = summarise

def summarise(*what):
    return own(*what) | {"shipped": 1.0}
"""
    summary.write_text(summary.read_text() + told)
    return str(folder)
