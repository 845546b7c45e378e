"""Kinds of GPU, by name and by what NVML says."""

from dataclasses import replace
from typing import Any

import pytest

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.profile import Profile
from ntlbg_service.domain.hardware.profiles import (
    CPU,
    PROFILES,
    including,
    profile_named,
    recognise,
)


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
        ("NVIDIA A10G", 22.1, "A10G-24GB"),
        ("A100-SXM4-40GB", 39.39, "A100-40GB"),
        ("nvidia a100-sxm4-40gb", 39.39, "A100-40GB"),
        ("NVIDIA GeForce RTX 4090 D", 23.65, "RTX4090D-24GB"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.9, None),
        ("NVIDIA GeForce RTX 3090", 23.6, "RTX3090-24GB"),
        ("NVIDIA GeForce RTX 3090 Ti", 23.6, None),
        ("NVIDIA H100 PCIe", 79.6, "H100-PCIE-80GB"),
        ("NVIDIA H100 NVL", 93.6, "H100-NVL-94GB"),
        ("NVIDIA L4", 22.5, "L4-24GB"),
        ("NVIDIA L40S", 44.99, "L40S-48GB"),
        ("NVIDIA L40", 44.99, None),
        ("NVIDIA A30", 23.6, None),
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


def a_kind(**more: Any) -> Profile:
    values = {
        "name": "B200-180GB",
        "memory_gib": 180.0,
        "usable_gib": 178.0,
        "capability": (10, 0),
        "tensor_cores": ("fp16", "bf16"),
        "products": ("B200",),
        "rates": PROFILES["H200-141GB"].rates,
    }
    return Profile(**(values | more))


def test_further_kinds_are_known_by_name_and_product_and_change_none_that_are_built_in() -> None:
    kinds = including((), a_kind(aliases=("B200",)), "b200.json")
    assert profile_named("B200", kinds=kinds).name == "B200-180GB"
    found = recognise("NVIDIA B200", 178.4, kinds)
    assert found is kinds[0] and found.bf16 and found.flash_attention
    assert recognise("NVIDIA B200", 178.4) is None
    with pytest.raises(UserError, match="unknown GPU kind 'B200'"):
        profile_named("B200")
    with pytest.raises(TypeError):
        PROFILES["B200-180GB"] = found  # type: ignore[index]


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ({"name": "A100-40GB"}, "b200.json: name: 'A100-40GB' is a known GPU kind, A100-40GB"),
        ({"aliases": ("H100",)}, "b200.json: aliases: 'H100' is a known GPU kind, H100-80GB"),
    ],
)
def test_a_name_that_is_taken_is_refused(taken: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        including((), a_kind(**taken), "b200.json")
    assert str(caught.value) == message


def test_a_kind_that_is_read_twice_is_one() -> None:
    kinds = including((), a_kind(), "a.json")
    assert including(kinds, a_kind(), "b.json") == kinds


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "name must not be empty"),
        ({"usable_gib": 0.0}, "usable_gib must be above 0"),
        ({"capability": None}, "capability must be the two numbers of a GPU"),
        ({"rates": replace(PROFILES["L4-24GB"].rates, link_gbs=0.0)}, "rates.link_gbs must be"),
        ({"rates": replace(PROFILES["L4-24GB"].rates, efficiency=1.5)}, "rates.efficiency must"),
    ],
)
def test_an_impossible_kind_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        a_kind(**wrong)


def test_every_built_in_kind_says_where_its_facts_are_from() -> None:
    for profile in PROFILES.values():
        assert profile.source and profile.rates.source
        assert profile.is_cpu or "fp16" in profile.tensor_cores
        assert profile.bf16 == profile.flash_attention
