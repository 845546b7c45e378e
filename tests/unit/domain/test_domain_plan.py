"""A plan says who runs where, for how long, and who cannot and why."""

from dataclasses import replace
from typing import Any

import pytest

from ntlbg_model.config import (
    Config,
    HardwareConfig,
    ModelConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.inventory import Inventory, NodeGroup
from ntlbg_service.domain.plan import plan
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.suite import Variant

LAB = Inventory(
    name="lab.json",
    groups=(
        NodeGroup(profile="V100-32GB", gpus=8),
        NodeGroup(profile="A100-40GB", gpus=4, nodes=2),
    ),
)


def variant(name: str, config: Config, group: str = "g") -> Variant:
    return Variant(
        group=group, name=name, description="", baseline=False, config=config, provenance={}
    )


def config(**changed: Any) -> Config:
    return replace(Config(video=VideoConfig(max_frames=1024)), **changed)


def test_capacity_counts_devices_by_kind() -> None:
    assert LAB.capacity() == {"V100-32GB": 8, "A100-40GB": 8}
    twice = Inventory(name="i", groups=(*LAB.groups, NodeGroup(profile="A100_40GB", gpus=1)))
    assert twice.capacity()["A100-40GB"] == 9


def test_an_unknown_kind_names_the_inventory() -> None:
    with pytest.raises(UserError, match=r"^i\.json: unknown GPU kind 'B200'; "):
        Inventory(name="i.json", groups=(NodeGroup(profile="B200", gpus=1),)).capacity()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"profile": "cpu", "gpus": 0}, "groups.0.gpus: must be at least 1, got 0"),
        (
            {"profile": "cpu", "gpus": 1, "nodes": 0},
            "groups.0.nodes: must be at least 1, got 0 (max_nodes names what an autoscaler could "
            "add)",
        ),
        (
            {"profile": "cpu", "gpus": 1, "host_memory_gib": 0},
            "groups.0.host_memory_gib: must be above 0, got 0.0",
        ),
        ({"profile": "cpu", "gpu": 1}, "groups.0.gpu: unknown key; did you mean 'gpus'?"),
    ],
)
def test_a_wrong_inventory_is_one_line(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(Inventory, {"name": "i", "groups": [row]}, "i.json")
    assert str(caught.value) == f"i.json: {message}"


def test_every_seed_of_every_variant_has_a_place_and_a_time() -> None:
    made = plan([variant("a", config()), variant("b", config())], [1, 2, 3], LAB)
    assert set(made.intervals) == {("g", name, seed) for name in "ab" for seed in (1, 2, 3)}
    ends = [interval.end for interval in made.intervals.values()]
    assert made.makespan_hours == max(ends)
    assert made.gpu_hours == pytest.approx(
        sum(interval.placement.fit.gpu_hours for interval in made.intervals.values())
    )


def test_what_is_not_built_is_refused_by_name_and_not_scheduled() -> None:
    training = TrainingConfig(optimizer="adamw_8bit")
    asked = config(model=ModelConfig(quantisation="nf4"), training=training)
    made = plan([variant("a", config()), variant("b", asked)], [1], LAB)
    _, refused = made.variants
    assert refused.refusal == (
        "not built yet: model.quantisation = 'nf4', training.optimizer = 'adamw_8bit'"
    )
    assert [name for _, name, _ in made.intervals] == ["a"]


def test_what_fits_nowhere_says_why_for_each_kind() -> None:
    made = plan([variant("a", config(model=ModelConfig(tuning="full")))], [1], LAB)
    refusal = made.variants[0].refusal
    assert refusal is not None
    first, second = refusal.split("; A100-40GB: ")
    assert first.startswith("V100-32GB: needs ")
    assert second.startswith("needs ")
    assert made.intervals == {}
    assert made.makespan_hours == 0.0


def test_more_devices_than_there_are_is_a_misfit() -> None:
    made = plan([variant("a", config(hardware=HardwareConfig(num_gpus=16)))], [1], LAB)
    assert made.variants[0].refusal == (
        "V100-32GB: needs 16 devices, there are 8; A100-40GB: needs 16 devices, there are 8"
    )


def test_a_group_that_would_mix_numerics_is_flagged() -> None:
    on_v100 = config(hardware=HardwareConfig(profile="V100-32GB"))
    on_a100 = config(hardware=HardwareConfig(profile="A100-40GB"))
    made = plan(
        [variant("v", on_v100), variant("a", on_a100), variant("alone", on_a100, "other")],
        [1],
        LAB,
    )
    assert made.mixed_numerics() == {"g": ("bf16 flash_attention_2", "fp16 sdpa_repeated")}
