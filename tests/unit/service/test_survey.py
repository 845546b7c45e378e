"""A controller uses a node that came, and starts nothing on one that went."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.states import RunState
from ntlbg_service.nodes.inventory_refresher import InventoryRefresher, NodeSnapshot
from tests.support.builders import SUITE, Service, new_run
from tests.support.node_rows import node_row, reading


def seen(*names: str) -> NodeSnapshot:
    group = NodeGroup(profile="cpu", gpus=1, nodes=len(names), cores=2, names=names)
    inventory = Inventory(name="cluster", groups=(group,))
    return NodeSnapshot(inventory, {name: f"id-{name}" for name in names})


class Cluster:
    """Nodes that come and go, and a clock that stands until it is moved."""

    def __init__(self, *names: str) -> None:
        self.names: tuple[str, ...] | None = names
        self.now = 0.0
        self.reads = 0

    def read(self) -> NodeSnapshot:
        self.reads += 1
        if self.names is None:
            raise InfrastructureError("away")
        return seen(*self.names)

    def ground(self) -> ClusterView:
        first = self.read()
        survey = InventoryRefresher(self.read, lambda: self.now, every=30.0)
        return ClusterView(inventory=first.inventory, ray_ids=first.ray_ids, survey=survey)


def names(ground: ClusterView) -> list[str]:
    return [node.name for node in ground.inventory.nodes()]


def test_nodes_are_read_anew_when_they_are_old_or_in_doubt() -> None:
    cluster = Cluster("a")
    ground = cluster.ground()
    assert ground.look_again() == ""
    cluster.names = ("b", "c")
    assert ground.look_again() == "" and names(ground) == ["a"]
    ground.invalidate()
    assert ground.look_again() == "b came, c came, a went"
    cluster.names = ("c",)
    cluster.now = 29.9
    assert ground.look_again() == ""
    cluster.now = 30.0
    assert ground.look_again() == "b went"
    assert ground.ray_ids == {"c": "id-c"}


def test_a_cluster_that_does_not_answer_is_thought_to_be_as_it_was() -> None:
    cluster = Cluster("a")
    ground = cluster.ground()
    cluster.names = None
    assert ground.look_again() == "" and names(ground) == ["a"]
    reads = cluster.reads
    assert ground.look_again() == "" and cluster.reads == reads


@pytest.fixture
def service(tmp_path: Path) -> Service:
    made = Service(tmp_path)
    made.ledger.submit(SUITE, [new_run(seed=1), new_run(seed=2)])
    return made


def test_a_node_that_came_is_used_and_the_runner_is_told_its_id(service: Service) -> None:
    cluster = Cluster("a")
    service.controller = replace(service.controller, ground=cluster.ground())
    service.controller.step()
    assert [spec.nodes for spec in service.executor.running.values()] == [("id-a",)]
    cluster.names, cluster.now = ("a", "b"), 60.0
    service.controller.step()
    placed = sorted(spec.nodes for spec in service.executor.running.values())
    assert placed == [("id-a",), ("id-b",)]


def test_a_loss_has_the_nodes_read_anew(service: Service) -> None:
    cluster = Cluster("a")
    service.controller = replace(service.controller, ground=cluster.ground())
    service.controller.step()
    before = cluster.reads
    (spec,) = service.executor.running.values()
    service.executor.outcome = lambda _: None
    service.executor.complete(spec.run_id)
    service.controller.step()
    service.controller.step()
    assert cluster.reads == before + 1


def test_what_was_placed_on_a_node_that_went_is_placed_anew(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster("a")
    service.controller = replace(service.controller, ground=cluster.ground())
    executor: Any = service.executor

    def away(_: object) -> None:
        raise InfrastructureError("away")

    with monkeypatch.context() as patched:
        patched.setattr(executor, "launch", away)
        service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    assert attempt.nodes == ("a",) and not service.executor.running
    cluster.names, cluster.now = ("b",), 60.0
    service.controller.step()
    (spec,) = service.executor.running.values()
    assert spec.nodes == ("id-b",)
    (first, *_) = service.ledger.attempts_of(attempt.run_id)
    assert service.ledger.run(attempt.run_id).state is not RunState.LOST, first.message


def test_the_dashboards_nodes_are_read() -> None:
    (node,) = reading(node_row("ab12cd34ef"))
    assert (node["name"], node["cores"], node["devices"]) == ("gpu1", 16, 2)
    assert node["host_memory_gib"] == 64
    assert node["gpus"][0]["memory_gib"] == pytest.approx(31.7, rel=0.01)


def test_dead_nodes_are_left_out_and_names_are_distinct() -> None:
    found = reading(
        node_row("aaaaaaaa"),
        node_row("bbbbbbbb"),
        node_row("cccccccc", raylet={"state": "DEAD"}),
        node_row("dddddddd", raylet={"nodeName": "rack-7"}),
    )
    assert [node["name"] for node in found] == ["gpu1-aaaaaa", "gpu1-bbbbbb", "rack-7"]


def test_a_node_whose_agent_has_said_nothing_yet_has_what_ray_hands_out() -> None:
    row = node_row("aaaaaaaa")
    del row["mem"], row["gpus"]
    (node,) = reading(row)
    assert node["host_memory_gib"] == 1 and not node["gpus"] and "not reported" in node["note"]


def test_an_answer_of_another_ray_is_one_line() -> None:
    with pytest.raises(InfrastructureError, match=r"HOST:6379: its list of nodes is not under"):
        reading({"raylet": {}})
