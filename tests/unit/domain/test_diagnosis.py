"""What the doctor makes of readings: each fault is named with the machine, and what mends it."""

from dataclasses import replace
from typing import Any

import pytest

from ntlbg_service.domain.diagnosis.devices import Devices, labels
from ntlbg_service.domain.diagnosis.finding import Finding, Level, failed
from ntlbg_service.domain.diagnosis.machines import (
    MachineReading,
    clocks,
    disk,
    reached,
    storage,
    versions,
)
from ntlbg_service.domain.diagnosis.services import (
    authentication,
    database,
    leader,
    mlflow,
    mlflow_copy,
)
from ntlbg_service.domain.hardware.labels import GPUS, PROFILE

HERE = MachineReading(
    name="here",
    python="3.11.7",
    packages={"ray": "2.60.0", "torch": "2.13.0"},
    free_gib={"/tmp": 500.0},
)
A100 = ("NVIDIA A100-SXM4-80GB", 80.0)
V100 = ("Tesla V100-SXM2-32GB", 31.74)


def node(name: str = "n1", **changes: Any) -> MachineReading:
    return replace(HERE, name=name, **changes)


def gpus(**changes: Any) -> Devices:
    plain = Devices(name="n1", ray_gpus=2, labels={}, cards=(A100, A100))
    return replace(plain, **changes)


def test_machines_that_agree_are_fine() -> None:
    found = [
        versions(HERE, [node("n1"), node("n2")]),
        reached([node()]),
        storage(HERE, [node()], "/shared"),
        clocks([node()]),
        disk([HERE, node()]),
    ]
    assert [(each.level, each.do) for each in found] == [(Level.OK, "")] * 5
    assert "3 machines" in found[0].what and "1 node" in found[2].what


@pytest.mark.parametrize(
    ("finding", "level", "says"),
    [
        (versions(HERE, [node(python="3.12.1")]), Level.PROBLEM, "Python differs: 3.11.7 on here"),
        (
            versions(HERE, [node(packages={"ray": "2.59.0", "torch": "2.13.0"})]),
            Level.PROBLEM,
            "ray differs: 2.59.0 on n1; 2.60.0 on here",
        ),
        (
            versions(HERE, [node(), node("n2", packages={"ray": "2.60.0", "torch": "2.12.0"})]),
            Level.WARNING,
            "torch differs: 2.13.0 on n1; 2.12.0 on n2",
        ),
        (
            versions(HERE, [node(packages={"ray": "2.60.0", "torch": ""})]),
            Level.PROBLEM,
            "torch is not installed on n1",
        ),
        (reached([node(trouble="no answer within 60 s")]), Level.PROBLEM, "n1: no answer"),
        (storage(node(storage="full"), [], "/s"), Level.PROBLEM, "full"),
        (
            storage(HERE, [node(storage="/s is not there, or is another folder")], "/s"),
            Level.PROBLEM,
            "n1: /s is not there",
        ),
        (clocks([node(clock_off=-3.0)]), Level.WARNING, "n1 is 3.0 s behind"),
        (clocks([node(), node("n2", clock_off=90.0)]), Level.PROBLEM, "n2 is 90.0 s ahead"),
        (clocks([]), Level.NOT_CHECKED, "no machine"),
        (disk([node(free_gib={"/tmp": 7.5})]), Level.WARNING, "7.5 GiB in /tmp of n1"),
        (disk([HERE, node(free_gib={"/tmp": 0.5})]), Level.PROBLEM, "0.5 GiB in /tmp of n1"),
        (disk([node(trouble="gone")]), Level.NOT_CHECKED, "no machine"),
    ],
)
def test_machines_that_do_not(finding: Finding, level: Level, says: str) -> None:
    assert finding.level is level
    assert says in finding.what
    assert bool(finding.do) is (level in (Level.WARNING, Level.PROBLEM))


def test_a_cpu_build_here_may_differ_from_the_nodes_build() -> None:
    """This machine trains nothing; only what talks to the nodes must be theirs."""
    here = replace(HERE, packages={"ray": "2.60.0", "torch": "2.11.0"})
    assert versions(here, [node("n1"), node("n2")]).level is Level.OK


def test_a_node_without_an_answer_is_compared_with_nobody() -> None:
    silent = MachineReading(name="n2", trouble="gone")
    assert versions(HERE, [node(), silent]).level is Level.OK
    assert storage(HERE, [silent], "/s").level is Level.OK


@pytest.mark.parametrize(
    ("device", "level", "says", "does"),
    [
        (gpus(), Level.OK, "2 x A100-80GB", ""),
        (gpus(cards=(), ray_gpus=0), Level.OK, "no GPUs", ""),
        (gpus(labels={PROFILE: "A100-80GB"}), Level.OK, "2 x A100-80GB", ""),
        (gpus(labels={PROFILE: "A100-81GB"}), Level.PROBLEM, "did you mean", "--labels"),
        (
            gpus(labels={PROFILE: "A100-40GB"}),
            Level.PROBLEM,
            "label says A100-40GB, NVML shows A100-80GB",
            f"{PROFILE}=A100-80GB",
        ),
        (gpus(labels={PROFILE: "V100-32GB"}, cards=()), Level.PROBLEM, "no GPU there", "driver"),
        (
            gpus(labels={PROFILE: "V100-32GB", GPUS: "simulated"}, cards=()),
            Level.OK,
            "2 x V100-32GB",
            "",
        ),
        (gpus(labels={PROFILE: "cpu"}, cards=(), ray_gpus=0), Level.OK, "no GPUs", ""),
        (gpus(cards=(("Mystery 9", 13.0),), ray_gpus=1), Level.WARNING, "no kind is", "NTLBG_PRO"),
        (gpus(ray_gpus=8), Level.PROBLEM, "hands out 8 GPUs, NVML shows 2", "--num-gpus"),
        (gpus(ray_gpus=1), Level.WARNING, "hands out 1 of 2", "--num-gpus"),
        (gpus(ray_gpus=0, on_ray=False), Level.OK, "2 x A100-80GB", ""),
    ],
)
def test_labels_against_what_is_there(device: Devices, level: Level, says: str, does: str) -> None:
    found = labels([device])
    assert found.level is level
    assert says in found.what and does in found.do


def test_the_worst_node_is_named_and_the_others_are_counted() -> None:
    odd = gpus(name="n2", labels={PROFILE: "A100-40GB"})
    found = labels([gpus(ray_gpus=1), odd, gpus(name="n3", cards=(V100, V100))])
    assert found.level is Level.PROBLEM
    assert found.what.startswith("n2: ") and found.what.endswith("; 1 node more")


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (authentication(asks=True, token_works=True, loopback=False), Level.OK),
        (authentication(asks=True, token_works=False, loopback=False), Level.PROBLEM),
        (authentication(asks=False, token_works=True, loopback=True), Level.WARNING),
        (authentication(asks=False, token_works=True, loopback=False), Level.PROBLEM),
        (database("0004", "0004", "here"), Level.OK),
        (database(None, "0004", "here"), Level.OK),
        (database("0003", "0004", "here"), Level.PROBLEM),
        (mlflow_copy(waiting=0, oldest=0.0, refused=0), Level.OK),
        (mlflow_copy(waiting=3, oldest=60.0, refused=0), Level.OK),
        (mlflow_copy(waiting=1, oldest=7200.0, refused=0), Level.WARNING),
        (mlflow_copy(waiting=1, oldest=7200.0, refused=2), Level.PROBLEM),
        (leader("process 1 on head", queued=3), Level.OK),
        (leader("", queued=1), Level.PROBLEM),
        (leader("", queued=0), Level.WARNING),
        (mlflow("SqlStore", "http://m"), Level.OK),
        (mlflow(None, "http://m"), Level.OK),
        (mlflow("FileStore", "http://m"), Level.PROBLEM),
        (failed("ray", TimeoutError(), "start it"), Level.PROBLEM),
    ],
)
def test_what_a_deployment_stands_on(finding: Finding, level: Level) -> None:
    assert finding.level is level
    assert bool(finding.do) is (level in (Level.WARNING, Level.PROBLEM))
    assert finding.what
