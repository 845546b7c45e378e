"""What NVML and Ray say of nodes, as groups that a plan counts on."""

from ntlbg_service.inventory import Gpu, Node, inventory_of


def a_node(name: str, *products: tuple[str, float], host: float = 500.0) -> Node:
    gpus = tuple(
        Gpu(index=index, product=product, memory_gib=memory, used_gib=0.0, driver="1")
        for index, (product, memory) in enumerate(products)
    )
    return Node(name=name, cores=64, host_memory_gib=host, gpus=gpus)


A100 = ("NVIDIA A100-SXM4-80GB", 79.2)
V100 = ("Tesla V100-SXM2-32GB", 31.7)


def test_like_nodes_are_one_group_with_the_least_memory() -> None:
    nodes = [a_node("n1", *[A100] * 8, host=500.3), a_node("n2", *[A100] * 8, host=499.9)]
    (group,) = inventory_of([*nodes, a_node("head")]).groups
    assert (group.profile, group.gpus, group.nodes, group.host_memory_gib) == (
        "A100-80GB",
        8,
        2,
        499.9,
    )


def test_other_kinds_and_sizes_are_groups_of_their_own() -> None:
    nodes = [a_node("n1", A100, A100), a_node("n2", A100), a_node("n3", V100, ("Quadro", 8.0))]
    found = [(group.profile, group.gpus, group.nodes) for group in inventory_of(nodes).groups]
    assert found == [("A100-80GB", 2, 1), ("A100-80GB", 1, 1), ("V100-32GB", 1, 1)]


def test_without_gpus_a_machine_has_slots() -> None:
    (group,) = inventory_of([a_node("laptop")]).groups
    assert (group.profile, group.gpus) == ("cpu", 32)
    assert inventory_of([a_node("laptop")], slots=3).capacity() == {"cpu": 3}
