"""What an autoscaler may add to the nodes there are."""

from ntlbg_service.domain.hardware.growth import with_node_types
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup


def there(profile: str, gpus: int, *names: str, cores: int = 8) -> NodeGroup:
    return NodeGroup(profile=profile, gpus=gpus, nodes=len(names), names=names, cores=cores)


def a_type(profile: str, gpus: int, most: int, least: int = 0) -> NodeGroup:
    return NodeGroup(
        profile=profile, gpus=gpus, nodes=0, max_nodes=most, min_nodes=least, name="type"
    )


def grown(groups: list[NodeGroup], *types: NodeGroup) -> list[tuple[str, int, float, bool]]:
    found = with_node_types(Inventory(name="now", groups=tuple(groups)), types)
    return [(node.name, node.gpus, node.ready_hours, node.kept) for node in found.nodes()]


def test_a_type_of_which_nothing_is_there_is_added_whole() -> None:
    found = grown([there("V100-32GB", 2, "a")], a_type("A100-80GB", 4, 2, least=1))
    assert found == [
        ("a", 2, 0.0, True),
        ("type-1", 4, 0.1, True),
        ("type-2", 4, 0.1, False),
    ]


def test_nodes_that_are_there_count_against_the_limit() -> None:
    nodes = [there("A100_80GB", 4, "a", "b", cores=8), there("A100-80GB", 4, "c", cores=16)]
    found = grown(nodes, a_type("A100-80GB", 4, 5))
    assert [name for name, *_ in found] == ["a", "b", "c", "type-3", "type-4"]
    assert grown(nodes, a_type("A100-80GB", 4, 3)) == grown(nodes)
    # Of other GPU counts are other types.
    assert len(grown(nodes, a_type("A100-80GB", 8, 1))) == 4


def test_cpus_that_stand_in_for_gpus_go() -> None:
    assert grown([there("cpu", 2, "head")], a_type("L4-24GB", 1, 1)) == [
        ("type-1", 1, 0.1, False),
    ]
