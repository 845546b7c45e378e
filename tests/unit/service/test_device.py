"""A CPU stands for a GPU only where an operator said so of the nodes concerned."""

from dataclasses import replace

import pytest

from ntlbg_service.domain.hardware.labels import GPUS, PROFILE
from ntlbg_service.runner.device import device_of, simulated_for
from ntlbg_service.runner.heartbeat import heartbeat
from tests.support.builders import cpu_fit, tiny_config

CPU = cpu_fit(tiny_config())
GPU = replace(CPU, profile="A100-40GB", precision="bf16", attention="flash_attention_2")
REAL = {PROFILE: "A100-40GB"}
SIMULATED = {**REAL, GPUS: "simulated"}


def test_simulated_gpus_are_cpus_in_fp32_and_measure_nothing() -> None:
    found = device_of(GPU, in_place_of_gpus=True)
    assert (found.name, found.precision, found.attention) == ("cpu", "fp32", "sdpa")
    assert found.backend == "gloo" and found.simulated
    beat = heartbeat(1, 3, measured=False)
    assert beat.memory_mib is None and beat.peak_memory_mib is None and beat.step == 3


def test_gpus_and_cpus_are_what_the_fit_says() -> None:
    gpu = device_of(GPU)
    assert (gpu.name, gpu.precision, gpu.attention) == ("cuda", "bf16", "flash_attention_2")
    assert gpu.backend == "nccl" and not gpu.simulated
    cpu = device_of(CPU, in_place_of_gpus=True)
    assert (cpu.name, cpu.backend, cpu.simulated) == ("cpu", "gloo", False)


@pytest.mark.parametrize(
    ("labels", "placed", "expected"),
    [
        ({"a": SIMULATED, "b": REAL}, ("a",), True),
        ({"a": SIMULATED, "b": REAL}, ("b",), False),
        ({"a": SIMULATED, "b": REAL}, ("a", "b"), False),
        ({"a": SIMULATED, "b": REAL}, (), False),
        ({"a": SIMULATED, "b": {PROFILE: "V100-32GB"}}, (), True),
        ({"a": {**SIMULATED, PROFILE: "A100_40GB"}}, (), True),
        ({"a": {GPUS: "simulated"}}, (), False),
        ({}, (), False),
    ],
)
def test_the_nodes_concerned_decide(
    labels: dict[str, dict[str, str]], placed: tuple[str, ...], expected: bool
) -> None:
    assert simulated_for(GPU, labels, placed) is expected
