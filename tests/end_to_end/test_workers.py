"""Two workers learn what one learns, lose little when killed, and go on to the same bits."""

from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from ntlbg_service.domain.launch import Heartbeat
from ntlbg_service.domain.resolve import parse
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.end_to_end.conftest import until
from tests.launches import Launches, small_config
from tests.ray_cluster import RayCluster

CONFIG = small_config(max_steps=30, save_steps=5)
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
def undisturbed(launches: Launches) -> dict[str, AttemptKeys]:
    """The same training on one worker and on two."""
    return {
        "one": launches.run("one", CONFIG, micro_batch=4),
        "two": launches.run("two", CONFIG, **TWO),
    }


def test_two_workers_learn_what_one_learns(
    launches: Launches, undisturbed: dict[str, AttemptKeys]
) -> None:
    one, two = (launches.losses(undisturbed[name]) for name in ("one", "two"))
    assert sorted(one) == list(range(1, 31))
    assert two == pytest.approx(one, rel=1e-3)
    assert sorted(launches.markers(undisturbed["two"])) == [5, 10, 15, 20, 25, 30]


def test_deepspeed_learns_the_same_and_its_checkpoints_resume(
    launches: Launches, undisturbed: dict[str, AttemptKeys]
) -> None:
    keys = launches.run("zero", CONFIG, **ZERO)
    losses = launches.losses(keys)
    assert losses == pytest.approx(launches.losses(undisturbed["one"]), rel=1e-3)
    resumed = launches.run(
        "zero", CONFIG, attempt=2, resume_from=launches.markers(keys)[25], **ZERO
    )
    again = launches.losses(resumed)
    assert again == {step: losses[step] for step in range(26, 31)}
    assert launches.answers(resumed) == launches.answers(keys)


@pytest.mark.long
@pytest.mark.parametrize("offload", ["none", "all"])
def test_weights_spread_over_workers_learn_the_same_and_their_checkpoints_resume(
    launches: Launches, undisturbed: dict[str, AttemptKeys], offload: str
) -> None:
    name = f"spread-{offload}"
    keys = launches.run(name, CONFIG, **SPREAD, offload=offload)
    losses = launches.losses(keys)
    assert losses == pytest.approx(launches.losses(undisturbed["one"]), rel=1e-3)
    newest = Path(launches.markers(keys)[25])
    saved = load_file(newest / "model.safetensors")
    whole = load_file(Path(launches.markers(undisturbed["one"])[25]) / "model.safetensors")
    assert {key: value.shape for key, value in saved.items()} == {
        key: value.shape for key, value in whole.items()
    }
    resumed = launches.run(
        name, CONFIG, attempt=2, resume_from=str(newest), **SPREAD, offload=offload
    )
    again = launches.losses(resumed)
    assert again == pytest.approx({step: losses[step] for step in range(26, 31)}, rel=1e-6)
    assert launches.answers(resumed) == launches.answers(keys)
    assert launches.answers(keys) == launches.answers(undisturbed["one"])


def test_a_killed_worker_is_lost_and_its_run_goes_on_to_the_same_bits(
    launches: Launches, undisturbed: dict[str, AttemptKeys]
) -> None:
    keys = launches.start("killed", CONFIG, **TWO)
    until(lambda: launches.markers(keys), "a checkpoint")
    other_worker(launches, keys).kill()
    record = launches.end(keys)
    assert not record["finished"]
    assert record["failure"] == "infrastructure", record["message"]
    check_resumed(launches, keys, undisturbed["two"], **TWO)


@pytest.mark.long
def test_a_killed_driver_leaves_no_record_and_its_run_goes_on_to_the_same_bits(
    launches: Launches, undisturbed: dict[str, AttemptKeys]
) -> None:
    keys = launches.start("orphan", CONFIG, micro_batch=4)
    until(lambda: launches.markers(keys), "a checkpoint")
    claim = launches.storage.get(keys.process)
    assert claim is not None
    worker = psutil.Process(beat_of(launches, keys).pid)
    psutil.Process(int(claim["pid"])).kill()
    launches.gone(keys)
    assert launches.storage.get(keys.exit) is None
    until(lambda: not worker.is_running(), "the end of the driver's worker")
    check_resumed(launches, keys, undisturbed["one"], micro_batch=4)


def test_workers_go_to_nodes_of_their_kind(
    launches: Launches, ray_cluster: RayCluster, undisturbed: dict[str, AttemptKeys]
) -> None:
    """One worker on each of two labelled nodes, though the head alone would hold both."""
    labels = {"ntlbg.io/profile": "cpu"}
    nodes = [ray_cluster.add_node(num_cpus=1, labels=labels) for _ in range(2)]
    try:
        keys = launches.run("spread", CONFIG, nodes=2, **TWO)
        assert sorted(launches.nodes(keys)) == sorted(nodes)
    finally:
        for node in nodes:
            ray_cluster.remove_node(node)
    assert launches.losses(keys) == launches.losses(undisturbed["two"])
    assert len(launches.markers(keys)) == 6


def check_resumed(launches: Launches, keys: AttemptKeys, whole: AttemptKeys, **fit: int) -> None:
    """A second attempt repeats no more than one interval, and ends with the whole run's bits."""
    step, folder = max(launches.markers(keys).items())
    done = max(launches.losses(keys))
    assert done - step <= 2 * CONFIG.training.save_steps
    again = launches.run(keys.run_id, CONFIG, attempt=2, resume_from=folder, **fit)
    expected = launches.losses(whole)
    assert launches.losses(again) == {at: expected[at] for at in range(step + 1, 31)}
    assert launches.answers(again) == launches.answers(whole)


def beat_of(launches: Launches, keys: AttemptKeys) -> Heartbeat:
    found = until(lambda: launches.storage.get(keys.heartbeat), "a heartbeat")
    return parse(Heartbeat, found, keys.heartbeat)


def other_worker(launches: Launches, keys: AttemptKeys) -> psutil.Process:
    """The worker that does not lead: the other one of the same node."""
    leader = psutil.Process(beat_of(launches, keys).pid)
    parent = leader.parent()
    assert parent is not None
    (other,) = (
        child
        for child in parent.children()
        if child.pid != leader.pid and "RayTrainWorker" in " ".join(child.cmdline())
    )
    return other
