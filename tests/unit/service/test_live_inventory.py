"""What NVML and Ray say of nodes, as groups that a plan counts on."""

from dataclasses import replace

import pytest

from ntlbg_service.cli.gpus_table import rows
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.hardware.gpu import Gpu
from ntlbg_service.nodes.inventory import LiveNode, inventory_of, ray_ids_of


def a_node(name: str, *products: tuple[str, float], host: float = 500.0) -> LiveNode:
    gpus = tuple(
        Gpu(index=index, product=product, memory_gib=memory, used_gib=0.0, driver="1")
        for index, (product, memory) in enumerate(products)
    )
    return LiveNode(name=name, cores=64, host_memory_gib=host, gpus=gpus)


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


def ray_node(name: str, cores: int = 8, devices: int = 4, **labels: str) -> LiveNode:
    said = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    return LiveNode(
        name=name,
        cores=cores,
        host_memory_gib=100.0,
        gpus=(),
        ray_id=f"id-{name}",
        labels=said,
        devices=devices,
    )


def test_nodes_of_a_cluster_keep_their_names_and_ids() -> None:
    nodes = [
        ray_node("b", ntlbg_io__profile="V100_32GB"),
        ray_node("a", ntlbg_io__profile="V100-32GB"),
        ray_node("c", ntlbg_io__profile="A100-80GB", cores=2),
        ray_node("head", devices=0),
    ]
    inventory = inventory_of(nodes)
    placed = {node.name: (node.profile, node.gpus) for node in inventory.nodes()}
    # The third has fewer cores than GPUs, and each worker needs one.
    assert placed == {"b": ("V100-32GB", 4), "a": ("V100-32GB", 4), "c": ("A100-80GB", 2)}
    assert ray_ids_of(nodes)["a"] == "id-a"


def test_a_label_wins_over_what_nvml_says() -> None:
    node = replace(a_node("n1", A100, A100), labels={"ntlbg.io/profile": "V100-32GB"}, devices=2)
    assert inventory_of([node]).capacity() == {"V100-32GB": 2}


def test_a_label_that_names_no_kind_gives_no_devices() -> None:
    nodes = [ray_node("a", ntlbg_io__profile="V1000"), ray_node("b", ntlbg_io__profile="L4-24GB")]
    assert inventory_of(nodes).capacity() == {"L4-24GB": 4}


def test_no_more_gpus_count_than_ray_hands_out() -> None:
    node = replace(a_node("n1", *[A100] * 8), ray_id="id", devices=3)
    assert inventory_of([node]).capacity() == {"A100-80GB": 3}


def test_a_node_of_two_kinds_is_one_of_each() -> None:
    node = replace(a_node("n1", A100, V100), ray_id="id", devices=2)
    names = [node.name for node in inventory_of([node]).nodes()]
    assert names == ["n1-A100-80GB", "n1-V100-32GB"]
    assert {ray_ids_of([node])[name] for name in names} == {"id"}


def test_runs_on_a_cpu_go_to_nodes_labelled_for_them_and_never_where_no_core_is() -> None:
    nodes = [ray_node("head", cores=0, devices=0), ray_node("w", devices=0)]
    assert [node.name for node in inventory_of(nodes).nodes()] == ["w"]
    nodes.append(ray_node("x", cores=2, devices=0, ntlbg_io__profile="cpu"))
    assert [node.name for node in inventory_of(nodes, slots=9).nodes()] == ["x"]
    assert inventory_of(nodes, slots=9).capacity() == {"cpu": 2}


def test_the_list_of_nodes_says_whose_word_a_kind_is() -> None:
    """A label's, NVML's, or nobody's."""
    labelled = ray_node("a", ntlbg_io__profile="V100-32GB")
    pretended = ray_node("b", ntlbg_io__profile="V100-32GB", ntlbg_io__gpus="simulated")
    (whole,), (simulated,) = rows(labelled, ()), rows(pretended, ())
    assert (whole[:2], whole[-1]) == (("4 in all", "label V100-32GB"), "V100-32GB")
    assert (simulated[:2], simulated[-1]) == (("4 in all", "simulated"), "V100-32GB")
    seen = replace(a_node("c", A100), labels={"ntlbg.io/profile": "V1000"}, devices=1)
    (row,) = rows(seen, ())
    assert row[:4] == ("0", A100[0], "0.0 / 79.2", "- °C, - W") and row[-1].startswith("no kind")
    assert next(rows(a_node("d"), ()))[-1] == "cpu"


def sick(node: LiveNode, *which: int) -> LiveNode:
    """The node with some of its GPUs lost."""
    lost = [replace(gpu, error="GPU is lost" * (gpu.index in which)) for gpu in node.gpus]
    return replace(node, gpus=tuple(lost))


def test_a_sick_gpu_takes_one_from_what_ray_hands_out() -> None:
    node = sick(replace(a_node("n1", *[A100] * 4), ray_id="id", devices=4), 1)
    assert node.kinds() == {"A100-80GB": 3}
    assert replace(node, labels={"ntlbg.io/profile": "A100-80GB"}).kinds() == {"A100-80GB": 3}
    # One that Ray does not hand out takes nothing away, whether by its number or by its name.
    assert replace(node, devices=1).kinds() == {"A100-80GB": 1}
    assert replace(node, devices=3, visible=("0", "2", "3")).kinds() == {"A100-80GB": 3}
    (_, hidden, *_) = rows(replace(node, gpus=(*a_node("n", *[A100] * 4).gpus,), devices=1), ())
    assert hidden[-1] == "not handed out by Ray"


def test_what_no_run_should_be_given_is_kept_off() -> None:
    """Of no known kind are those on a node where others are; where none is, nothing goes there."""
    node = sick(a_node("n1", A100, A100, ("Quadro", 8.0)), 0)
    node = replace(node, ray_id="id", devices=3)
    assert node.quarantined() == ("0", "2")
    assert replace(node, visible=("1", "2")).quarantined() == ("2",)
    assert replace(node, gpus=a_node("n", ("Quadro", 8.0)).gpus).quarantined() == ()


def test_where_no_gpu_can_be_used_nothing_goes_to_cpus_instead() -> None:
    with pytest.raises(InfrastructureError, match=r"no GPU can be used now: n1 GPU 0: sick: NVML"):
        inventory_of([sick(a_node("n1", A100), 0)])


def test_what_is_submitted_may_wait_for_a_gpu_that_cannot_be_used_now() -> None:
    nodes = [sick(a_node("n1", A100, A100), 0, 1), sick(a_node("n2", V100, V100), 1)]
    later, now = {}, {}
    for node in inventory_of(nodes, hopeful=True).nodes():
        (now if node.ready_hours == 0 else later)[node.profile] = (node.gpus, node.ready_hours)
    assert now == {"V100-32GB": (1, 0.0)} and later == {"A100-80GB": (2, 24.0)}
    assert inventory_of(nodes[:1], hopeful=True).capacity() == {"A100-80GB": 2}
