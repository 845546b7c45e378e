"""An inventory is read strictly and becomes named nodes; what an autoscaler adds has its price."""

from typing import Any

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.planning.spending import rented, total_cost
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.scheduling.cluster import HoursInterval, Placement
from tests.support.made_up_jobs import a_fit

CLOUD = Inventory(
    name="cloud",
    groups=(
        NodeGroup(profile="V100-32GB", gpus=8, nodes=1, price_per_gpu_hour=3.0),
        NodeGroup(
            profile="A100_80GB",
            gpus=4,
            nodes=0,
            max_nodes=3,
            min_nodes=1,
            start_minutes=30,
            price_per_gpu_hour=5.0,
            name="big",
        ),
    ),
)


def test_nodes_have_names_and_those_to_be_added_come_last() -> None:
    found = [(node.name, node.profile, node.ready_hours, node.kept) for node in CLOUD.nodes()]
    assert found == [
        ("v100-32gb-1", "V100-32GB", 0.0, True),
        ("big-1", "A100-80GB", 0.5, True),
        ("big-2", "A100-80GB", 0.5, False),
        ("big-3", "A100-80GB", 0.5, False),
    ]
    assert CLOUD.capacity() == {"V100-32GB": 8, "A100-80GB": 12}


def test_groups_of_one_name_share_its_numbers() -> None:
    group = NodeGroup(profile="cpu", gpus=1)
    names = [node.name for node in Inventory(name="i", groups=(group, group)).nodes()]
    assert names == ["cpu-1", "cpu-2"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"max_nodes": 0}, "max_nodes: must be at least 1, got 0"),
        ({"nodes": 3, "max_nodes": 2}, "max_nodes: must be at least 3, got 2"),
        ({"nodes": -1, "max_nodes": 2}, "nodes: must be at least 0, got -1"),
        (
            {"max_nodes": 2, "min_nodes": 3},
            "min_nodes: must be between 0 and max_nodes 2, got 3",
        ),
        ({"min_nodes": 1}, "min_nodes: needs max_nodes: without it nothing is added"),
        ({"price_per_gpu_hour": -1.0}, "price_per_gpu_hour: must be at least 0, got -1.0"),
        ({"start_minute": 3}, "start_minute: unknown key; did you mean 'start_minutes'?"),
        ({"cores": 0}, "cores: must be at least 1, got 0"),
        ({"nodes": 2, "names": ["a"]}, "names: must be one for each of 2, got 1"),
    ],
)
def test_what_cannot_be_is_one_line(row: dict[str, Any], message: str) -> None:
    group = {"profile": "cpu", "gpus": 1} | row
    with pytest.raises(UserError) as caught:
        parse(Inventory, {"name": "i", "groups": [group]}, "i.json")
    assert str(caught.value) == f"i.json: groups.0.{message}"


def test_nodes_may_have_names_of_their_own() -> None:
    there = NodeGroup(profile="cpu", gpus=1, nodes=2, max_nodes=3, names=("rack-7", "rack-9"))
    found = Inventory(name="i", groups=(there,))
    assert [node.name for node in found.nodes()] == ["rack-7", "rack-9", "cpu-3"]
    with pytest.raises(ValueError, match="names must differ, got 'rack-7' 2 times"):
        Inventory(name="i", groups=(there, there))


def test_an_inventory_names_some_node() -> None:
    with pytest.raises(UserError, match=r"^i.json: groups: must name at least one kind of node$"):
        parse(Inventory, {"name": "i", "groups": []}, "i.json")


def interval(node: str, start: float, hours: float) -> HoursInterval:
    placement = Placement(run_id=node, fit=a_fit("x", hours), nodes=(node,))
    return HoursInterval(placement=placement, start=start, end=start + hours)


def test_a_node_costs_from_its_request_to_its_last_run() -> None:
    found = rented(CLOUD, [interval("v100-32gb-1", 0, 10), interval("big-2", 2, 3)])
    assert [(row.node.name, row.start, row.end, row.added) for row in found] == [
        ("v100-32gb-1", 0.0, 10.0, False),
        ("big-1", 0.0, 10.0, True),
        ("big-2", 1.5, 5.0, True),
    ]
    assert [row.cost for row in found] == [240.0, 200.0, 70.0]
    assert total_cost(found) == 510.0


def test_what_has_no_price_costs_nothing_that_is_known() -> None:
    plain = Inventory(name="lab", groups=(NodeGroup(profile="cpu", gpus=1),))
    assert total_cost(rented(plain, [interval("cpu-1", 0, 1)])) is None
