"""Two workers learn what one learns, on the nodes they are placed on, with DeepSpeed too."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from ntlbg_service.domain.launch import Stage
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.launches import Launches, small_config
from tests.support.ray_cluster import RayCluster

CONFIG = small_config(max_steps=10, save_steps=5)
TWO = {"workers": 2, "micro_batch": 2}
ZERO = {**TWO, "zero_stage": 2, "offload": "optimizer"}
SPREAD = {**TWO, "zero_stage": 3}


@pytest.fixture(scope="module")
def launches(
    ray_cluster: RayCluster, data_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Launches:
    storage = LocalStorage(tmp_path_factory.mktemp("home") / "storage")
    return Launches(storage, data_root, ray_cluster.environment)


@pytest.fixture(scope="module")
def one(launches: Launches) -> AttemptKeys:
    """The training on one worker."""
    return launches.run("one", CONFIG, micro_batch=4)


def test_two_workers_on_nodes_of_their_kind_learn_what_one_learns(
    launches: Launches, ray_cluster: RayCluster, one: AttemptKeys, tmp_path: Path
) -> None:
    """One worker on each of two labelled nodes, though the head alone would hold both. They share
    an address, so to Ray Train they are one: its first rank copies and the second waits."""
    stage = Stage(folder=str(tmp_path / "node"), everything=True)
    labels = {"ntlbg.io/profile": "cpu"}
    nodes = [ray_cluster.add_node(num_cpus=1, labels=labels) for _ in range(2)]
    try:
        keys = launches.run("apart", CONFIG, nodes=2, stage=stage, **TWO)
        assert sorted(launches.nodes(keys)) == sorted(nodes)
    finally:
        for node in nodes:
            ray_cluster.remove_node(node)
    alone = launches.losses(one)
    assert sorted(alone) == list(range(1, 11))
    assert launches.losses(keys) == pytest.approx(alone, rel=1e-3)
    assert sorted(launches.markers(keys)) == [5, 10]
    ready = launches.storage.get(keys.staged(0))
    copies = [path for path in (tmp_path / "node").glob("items/*/files/**/*") if path.is_file()]
    assert ready and ready["copied_files"] == len(copies) > 2


@pytest.mark.long
def test_deepspeed_learns_the_same_and_its_checkpoints_resume(
    launches: Launches, one: AttemptKeys
) -> None:
    keys = launches.run("zero", CONFIG, **ZERO)
    losses = launches.losses(keys)
    assert losses == pytest.approx(launches.losses(one), rel=1e-3)
    resumed = launches.run("zero", CONFIG, attempt=2, resume_from=launches.markers(keys)[5], **ZERO)
    again = launches.losses(resumed)
    assert again == {step: losses[step] for step in range(6, 11)}
    assert launches.answers(resumed) == launches.answers(keys)


@pytest.mark.long
@pytest.mark.parametrize("offload", ["none", "all"])
def test_weights_spread_over_workers_learn_the_same_and_their_checkpoints_resume(
    launches: Launches, one: AttemptKeys, offload: str
) -> None:
    name = f"spread-{offload}"
    keys = launches.run(name, CONFIG, **SPREAD, offload=offload)
    losses = launches.losses(keys)
    assert losses == pytest.approx(launches.losses(one), rel=1e-3)
    newest = Path(launches.markers(keys)[5])
    saved = load_file(newest / "adapter_model.safetensors")
    whole = load_file(Path(launches.markers(one)[5]) / "adapter_model.safetensors")
    assert saved.keys() == whole.keys()
    for key, weights in whole.items():
        assert_close(saved[key], weights, rtol=0, atol=1e-5)
    resumed = launches.run(
        name, CONFIG, attempt=2, resume_from=str(newest), **SPREAD, offload=offload
    )
    again = launches.losses(resumed)
    assert again == pytest.approx({step: losses[step] for step in range(6, 11)}, rel=1e-6)
    assert launches.answers(resumed) == launches.answers(keys)
    assert launches.answers(keys) == launches.answers(one)


@pytest.mark.long
def test_workers_on_one_node_learn_bit_for_bit_what_workers_on_two_learn(
    launches: Launches, ray_cluster: RayCluster
) -> None:
    together = launches.run("together", CONFIG, **TWO)
    labels = {"ntlbg.io/profile": "cpu"}
    nodes = [ray_cluster.add_node(num_cpus=1, labels=labels) for _ in range(2)]
    try:
        spread = launches.run("two-nodes", CONFIG, nodes=2, **TWO)
    finally:
        for node in nodes:
            ray_cluster.remove_node(node)
    assert launches.losses(spread) == launches.losses(together)
