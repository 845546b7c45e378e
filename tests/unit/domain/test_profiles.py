"""Kinds of GPU, by name and by what NVML says."""

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.profiles import CPU, PROFILES, profile_named, recognise


def test_a_profile_goes_by_its_name_and_by_other_tools_names() -> None:
    for profile in PROFILES.values():
        for name in (profile.name, *profile.aliases):
            assert profile_named(name) is profile


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        profile_named("A100-40", "lab.json")
    assert str(caught.value) == "lab.json: unknown GPU kind 'A100-40'; did you mean 'A100-40GB'?"
    with pytest.raises(UserError, match=r"'zzzz'; valid: V100-16GB, V100-32GB, A100-40GB"):
        profile_named("zzzz")


@pytest.mark.parametrize(
    ("product", "gib", "name"),
    [
        ("Tesla V100-SXM2-32GB", 31.73, "V100-32GB"),
        ("Tesla V100-SXM3-32GB", 32.0, "V100-32GB"),
        ("NVIDIA A100-SXM4-40GB", 39.39, "A100-40GB"),
        ("NVIDIA A100-PCIE-40GB", 39.5, "A100-40GB"),
        ("NVIDIA A100-SXM4-80GB", 79.25, "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", 80.0, "A100-80GB"),
        ("NVIDIA GeForce RTX 4090", 23.65, "RTX4090-24GB"),
        ("Tesla V100-SXM2-16GB", 15.78, "V100-16GB"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 19.5, None),
        ("NVIDIA H100 80GB HBM3", 79.6, "H100-80GB"),
        ("NVIDIA H200", 140.4, "H200-141GB"),
        ("NVIDIA A10", 22.5, "A10-24GB"),
        ("NVIDIA A10G", 22.5, None),
        ("NVIDIA L4", 22.5, "L4-24GB"),
        ("NVIDIA L40S", 44.5, None),
    ],
)
def test_a_gpu_is_recognised_by_product_and_memory(
    product: str, gib: float, name: str | None
) -> None:
    found = recognise(product, gib)
    assert (found.name if found else None) == name


def test_only_the_cpu_is_a_cpu() -> None:
    assert CPU.is_cpu
    assert [profile for profile in PROFILES.values() if profile.is_cpu] == [CPU]
