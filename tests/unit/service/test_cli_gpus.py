"""`ntlbg cluster gpus` and `label` on a machine whose GPUs a compiled library tells."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nvml_stub import A100_80, LOST, SLICED, V100_32, compiled, described


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


class Machine:
    """One with some GPUs."""

    def __init__(self, library: Path, *gpus: str) -> None:
        own = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self.environment = {**own, **described(library, *gpus)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ntlbg_service", "cluster", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


MIXED = (V100_32, A100_80, f"{A100_80},fail={LOST}", f"{A100_80},pids={os.getpid()}:20480")


def test_every_gpu_has_a_line_with_its_kind_or_why_it_is_not_used(library: Path) -> None:
    shown = Machine(library, *MIXED)("gpus").stdout
    heading, *lines = shown.splitlines()
    assert heading.split()[:2] == ["node", "cores"]
    assert "0.0 / 31.7" in lines[0] and lines[0].rstrip().endswith("V100-32GB")
    assert "41" not in lines[0] and "38 °C, 42 W" in lines[0] and "6 NVLink, gen3 x16" in lines[0]
    assert lines[2].rstrip().endswith("sick: NVML says 'GPU is lost'")
    assert "busy: 20.0 GiB held by process" in lines[3]
    assert lines[-1] == "Plans count on 1 x A100-80GB, 1 x V100-32GB."


def test_as_json_it_has_stable_keys(library: Path, tmp_path: Path) -> None:
    types = Path(__file__).parents[3] / "deploy/kuberay.yaml"
    shown = json.loads(
        Machine(library, *MIXED)("gpus", "--json", "--autoscaler", str(types)).stdout
    )
    (node,) = shown["nodes"]
    assert node["planned"] == {"V100-32GB": 1, "A100-80GB": 1}
    keys = {"index", "product", "memory_gib", "used_gib", "driver", "cuda", "uuid", "slice", "mig"}
    keys |= {"capability", "processes", "ecc_errors", "temperature_c", "power_watts", "nvlinks"}
    assert keys <= node["gpus"][0].keys()
    assert [gpu["usable"] for gpu in node["gpus"]] == [True, True, False, False]
    assert [group["profile"] for group in shown["node_types"]] == [
        "V100-32GB",
        "A100-40GB",
        "A100-80GB",
    ]


def test_where_no_gpu_can_be_used_it_says_so(library: Path) -> None:
    shown = Machine(library, f"{A100_80},ecc=4")("gpus")
    assert shown.returncode == 0
    assert "Plans: no GPU can be used now:" in shown.stdout.splitlines()[-1]


def test_watching_goes_on_until_ctrl_c(library: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "ntlbg_service", "cluster", "gpus", "--watch"],
        env={**Machine(library, V100_32).environment, "FORCE_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout
        shown = ""
        while "V100-32GB" not in shown.split("planned as")[-1]:
            shown += watching.stdout.read(1)
        watching.send_signal(signal.SIGINT)
        watching.stdout.read()
        assert watching.wait() == 0


def test_a_label_is_what_ray_start_needs(library: Path) -> None:
    from ray.scripts.scripts import start

    label = "--labels ntlbg.io/profile"
    printed = Machine(library, A100_80, A100_80)("label").stdout
    assert printed == f"ray start --num-gpus 2 {label}=A100-80GB\n"
    taken = start.make_context("start", printed.split()[2:]).params
    assert (taken["num_gpus"], taken["labels"]) == (2, "ntlbg.io/profile=A100-80GB")
    mixed = Machine(library, *MIXED, A100_80)("label")
    assert mixed.stdout == (
        f"CUDA_VISIBLE_DEVICES=GPU-2,GPU-5 ray start --num-gpus 2 {label}=A100-80GB\n"
    )
    assert "left out: GPU 2 (unnamed): sick: NVML says 'GPU is lost'" in mixed.stderr
    assert Machine(library)("label", "--kind", "A100_80GB").stdout == (
        f"ray start {label}=A100-80GB\n"
    )


def test_a_slice_is_named_with_a_kind_of_ones_own(library: Path, tmp_path: Path) -> None:
    machine = Machine(library, SLICED)
    machine.environment["NTLBG_PROFILES"] = str(
        Path(__file__).parents[3] / "configs/profiles/a100-3g-40gb.json"
    )
    assert machine("label").stdout == (
        "CUDA_VISIBLE_DEVICES=MIG-101,MIG-102 ray start --num-gpus 2 --labels "
        "ntlbg.io/profile=A100-3G-40GB\n"
    )
    assert "Plans count on 2 x A100-3G-40GB." in machine("gpus").stdout


def test_a_kind_that_nobody_knows_is_one_line(library: Path) -> None:
    wrong = Machine(library)("label", "--kind", "A100-80GiB")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "ntlbg: --kind: unknown GPU kind 'A100-80GiB'; did you mean 'A100-80GB'?\n",
    )
    nothing = Machine(library)("label")
    assert nothing.returncode == 2 and "this machine has none" in nothing.stderr
