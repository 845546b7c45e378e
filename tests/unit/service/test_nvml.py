"""The real nvidia-ml-py reads a compiled library: kinds, slices, failures, symbols that lack."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service.nodes.inventory import LiveNode, gpu_of
from tests.support.nvml_stub import (
    A100_40,
    A100_80,
    LOST,
    SLICED,
    UNKNOWN,
    V100_32,
    compiled,
    described,
)

READ = """
import json
from dataclasses import asdict
from ntlbg_service.nodes.inventory import read_node
print(json.dumps(asdict(read_node())))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


def read(library: Path, *gpus: str, **environment: str) -> LiveNode:
    """What a process of its own finds, as one on a machine with these GPUs does."""
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env={**os.environ, **described(library, *gpus), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    values: dict[str, Any] = json.loads(done.stdout)
    return LiveNode(**{**values, "gpus": tuple(map(gpu_of, values["gpus"]))})


def test_each_kind_is_known_by_its_memory_and_tells_its_state(library: Path) -> None:
    node = read(library, V100_32, A100_40, A100_80)
    assert [gpu.planned_as() for gpu in node.gpus] == ["V100-32GB", "A100-40GB", "A100-80GB"]
    assert node.kinds() == {"V100-32GB": 1, "A100-40GB": 1, "A100-80GB": 1}
    volta, ampere, _ = node.gpus
    assert volta.memory_gib == pytest.approx(31.75, abs=0.01)
    assert (volta.capability, volta.mig, ampere.mig) == ((7, 0), None, False)
    assert (volta.driver, volta.cuda) == ("580.65.06", "13.0")
    assert (volta.nvlinks, volta.pcie, ampere.nvlinks) == (6, "gen3 x16", 12)
    assert (volta.temperature_c, volta.power_watts, volta.power_limit_watts) == (38, 42.0, 400.0)
    assert (volta.ecc_errors, volta.repair_pending, ampere.repair_pending) == (0, False, False)
    assert node.disk_gib and node.host_memory_gib > 0


def test_a_slice_is_a_device_of_its_own_memory_and_of_no_card_s_kind(library: Path) -> None:
    """One of 40 GB is no A100-40GB: it has three sevenths of an A100's speed."""
    node = read(library, SLICED, V100_32)
    first, second, whole = node.gpus
    assert (first.called, second.called, whole.called) == ("0.0", "0.1", "1")
    assert first.memory_gib == pytest.approx(39.25) and first.uuid != second.uuid
    assert first.planned_as() is None and first.health.usable
    assert node.kinds() == {"V100-32GB": 1}
    assert node.use_of(first).startswith("no kind")


def test_mig_without_slices_is_not_used(library: Path) -> None:
    (gpu,) = read(library, f"{A100_80},slices=").gpus
    assert gpu.health.words == "sick: MIG is on and has no slice"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (f"fail={LOST}", "sick: NVML says 'GPU is lost'"),
        (f"broken={UNKNOWN}", "sick: NVML says 'Unknown Error'"),
        (f"broken={LOST}", "sick: NVML says 'GPU is lost'"),
        ("ecc=2", "sick: 2 uncorrected ECC errors since its driver was loaded"),
        ("remap=1", "sick: a bad page or row waits for a reset of the GPU"),
    ],
)
def test_a_gpu_that_fails_is_shown_and_not_used_and_takes_no_other_along(
    library: Path, field: str, words: str
) -> None:
    node = read(library, f"{A100_80},{field}", A100_80)
    assert [gpu.health.words for gpu in node.gpus] == [words, ""]
    assert node.kinds() == {"A100-80GB": 1}


def test_what_a_driver_lacks_is_unknown_and_takes_no_gpu_away(tmp_path: Path) -> None:
    lacking = (
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetGraphicsRunningProcesses_v3",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetTemperature",
        "nvmlSystemGetCudaDriverVersion",
    )
    stand_in = f"{A100_80},pids={os.getpid()}:512"
    node = read(compiled(tmp_path, without=lacking), stand_in)
    (gpu,) = node.gpus
    assert (gpu.repair_pending, gpu.mig, gpu.temperature_c, gpu.cuda) == (None, None, None, "")
    # What older drivers call it is asked for instead.
    assert gpu.processes and gpu.processes[0].memory_gib == 0.5
    assert node.kinds() == {"A100-80GB": 1}


def test_without_either_name_processes_are_unknown(tmp_path: Path) -> None:
    lacking = [f"nvmlDeviceGetComputeRunningProcesses_v{number}" for number in (2, 3)]
    (gpu,) = read(compiled(tmp_path, without=lacking), A100_80).gpus
    assert gpu.processes is None and gpu.health.usable


def test_without_memory_a_gpu_is_of_no_kind(tmp_path: Path) -> None:
    node = read(compiled(tmp_path, without=["nvmlDeviceGetMemoryInfo"]), A100_80)
    assert node.gpus[0].planned_as() is None and node.gpus[0].product and node.kinds() == {}


def test_a_library_without_its_beginning_is_a_note(tmp_path: Path) -> None:
    node = read(compiled(tmp_path, without=["nvmlInitWithFlags"]), A100_80)
    assert node.gpus == () and node.note == "Function Not Found"


def test_a_gpu_that_others_use_is_shown_and_not_used(library: Path) -> None:
    """Ours are what a run of this machine has started; what cannot be seen is nobody's."""
    foreign = f"{A100_80},pids={os.getpid()}:12288"
    unseen = f"{A100_80},pids=4194305:12288"
    little = f"{A100_80},pids={os.getpid()}:300"
    node = read(library, foreign, unseen, little)
    busy, *others = node.gpus
    assert busy.health.words.startswith(f"busy: 12.0 GiB held by process {os.getpid()} (")
    assert [gpu.health.words for gpu in others] == ["", ""]
    assert node.kinds() == {"A100-80GB": 2}


def test_our_own_run_does_not_make_its_gpu_busy(library: Path) -> None:
    wait = "import sys; sys.stdin.read()  # ntlbg_service.runner"
    with subprocess.Popen(
        [sys.executable, "-c", wait, "ntlbg_service.runner"], stdin=subprocess.PIPE
    ) as run:
        node = read(library, f"{A100_80},pids={run.pid}:40000")
        assert node.gpus[0].processes and node.gpus[0].processes[0].ours
        assert node.kinds() == {"A100-80GB": 1}
        run.kill()


def test_runs_of_this_machine_see_only_gpus_that_can_be_used(library: Path) -> None:
    look = "import os; from ntlbg_service.cli.inventory_choice import choose_ground as choose;"
    look += "choose(None, None); print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    seen = [
        subprocess.run(
            [sys.executable, "-c", look],
            env={**environment, **described(library, *gpus)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for gpus in ((f"{A100_80},fail={LOST}", A100_80, A100_80), (A100_80, A100_80))
    ]
    assert seen == ["GPU-2,GPU-3", "None"]


def test_only_gpus_that_are_visible_count(library: Path) -> None:
    node = read(library, V100_32, A100_80, A100_80, CUDA_VISIBLE_DEVICES="GPU-3,0")
    assert node.kinds() == {"V100-32GB": 1, "A100-80GB": 1}
    assert node.use_of(node.gpus[1]) == "not in CUDA_VISIBLE_DEVICES"
    assert read(library, V100_32, CUDA_VISIBLE_DEVICES="").kinds() == {}
