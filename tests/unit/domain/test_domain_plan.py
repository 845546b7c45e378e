"""A plan says who runs where, for how long, and who cannot and why."""

from dataclasses import replace
from typing import Any

import pytest

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.expansion import Variant
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.planning.explain import (
    find_runs,
    waits_for,
    why_here,
    why_so_many,
    why_then,
)
from ntlbg_service.domain.planning.plan import Plan, plan
from ntlbg_service.domain.resolve import parse

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
    endless = VideoConfig(max_frames=8192, num_representatives=4096)
    asked = config(model=ModelConfig(tuning="full"), video=endless)
    made = plan([variant("a", asked)], [1], LAB)
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


def test_a_gang_over_two_nodes_is_placed_whole_in_one_group() -> None:
    pair = NodeGroup(profile="A100-40GB", gpus=8, nodes=2, name="pair", cores=96)
    lone = NodeGroup(profile="A100-40GB", gpus=8, name="lone", cores=96, host_memory_gib=512)
    asked = config(hardware=HardwareConfig(num_gpus=16))
    made = plan(
        [variant("wide", asked), variant("narrow", config())],
        [1, 2],
        Inventory(name="i", groups=(lone, pair)),
    )
    wide = sorted(
        (interval for (_, name, _), interval in made.intervals.items() if name == "wide"),
        key=lambda interval: interval.start,
    )
    assert [interval.placement.nodes for interval in wide] == [("pair-1", "pair-2")] * 2
    assert wide[0].end <= wide[1].start
    assert {interval.placement.fit.nodes for interval in wide} == {2}


def test_a_group_that_would_mix_numerics_is_flagged() -> None:
    on_v100 = config(hardware=HardwareConfig(profile="V100-32GB"))
    on_a100 = config(hardware=HardwareConfig(profile="A100-40GB"))
    made = plan(
        [variant("v", on_v100), variant("a", on_a100), variant("alone", on_a100, "other")],
        [1],
        LAB,
    )
    assert made.mixed_numerics() == {"g": ("bf16 flash_attention_2", "fp16 sdpa_repeated")}


def test_runs_are_on_named_nodes_and_the_bound_lies_below() -> None:
    made = plan([variant(name, config()) for name in "abc"], [1, 2, 3], LAB)
    names = {node.name for node in LAB.nodes()}
    for interval in made.intervals.values():
        assert set(interval.placement.nodes) <= names
    assert 0 < made.least_hours <= made.makespan_hours
    assert made.cost is None


def test_a_group_keeps_to_the_fits_of_its_class() -> None:
    made = plan([variant("a", config()), variant("b", config())], [1, 2], LAB)
    assert made.mixed_numerics() == {}
    for row in made.variants:
        assert {fit.numerics for fit in made.fits_of(row)} == {made.classes["g"]}
        assert len(row.fits) > len(made.fits_of(row))


def test_a_plan_without_slack_for_the_guard_may_mix_and_says_so() -> None:
    variants = [variant(str(number), config()) for number in range(12)]
    free = plan(variants, [1, 2, 3], LAB, share=0.0)
    kept = plan(variants, [1, 2, 3], LAB, share=10.0)
    assert set(free.mixed_numerics()) == {"g"}
    assert kept.mixed_numerics() == {}
    assert free.makespan_hours < kept.makespan_hours
    assert free.makespan_hours == free.unpinned_hours == kept.unpinned_hours


def crowded() -> Plan:
    """Three runs of one GPU each where there is one GPU."""
    one = Inventory(name="one", groups=(NodeGroup(profile="A100-40GB", gpus=1),))
    return plan([variant("a", config())], [1, 2, 3], one)


def test_a_run_waits_for_the_one_whose_gpu_it_gets() -> None:
    made = crowded()
    first, second, _ = made.intervals
    assert waits_for(made, first) == ()
    assert waits_for(made, second) == (first,)
    assert why_then(made, first) == "its GPUs are free"
    assert why_then(made, second) == "waits for g/a/1 to end"


def test_a_run_waits_for_a_node_to_be_added() -> None:
    cloud = Inventory(
        name="cloud",
        groups=(NodeGroup(profile="A100-40GB", gpus=8, nodes=0, max_nodes=1, start_minutes=30),),
    )
    made = plan([variant("a", config())], [1], cloud)
    (key,) = made.intervals
    assert made.intervals[key].start == 0.5
    assert why_then(made, key) == "waits for a100-40gb-1 to be added and started"
    (added,) = made.rented
    assert (added.start, added.end) == (0.0, made.makespan_hours)


def test_why_a_run_is_where_it_is() -> None:
    made = plan([variant("a", config())], [1], LAB)
    (key,) = made.intervals
    (row,) = made.variants
    assert why_here(made, row, made.intervals[key]) == (
        "its group is kept in one numerics class: bf16 flash_attention_2"
    )
    alone = crowded()
    (row,) = alone.variants
    assert why_here(alone, row, next(iter(alone.intervals.values()))) == (
        "the only kind that it fits"
    )


def test_runs_are_found_by_variant_group_and_seed() -> None:
    rows = [variant("a", config()), variant("b", config()), variant("a", config(), "other")]
    made = plan(rows, [1, 2], LAB)
    assert find_runs(made, "b")[1] == (("g", "b", 1), ("g", "b", 2))
    assert find_runs(made, "other/a/2")[1] == (("other", "a", 2),)
    for name, said in (
        ("a", "'a' is in several groups: g/a, other/a"),
        ("g/c", "unknown run 'g/c'; did you mean 'g/b'?"),
        ("xyzzy", "unknown run 'xyzzy'; valid: a, g/a, b, g/b, other/a"),
        ("b/7", "g/b has no seed 7; valid: 1, 2"),
    ):
        with pytest.raises(UserError) as caught:
            find_runs(made, name)
        assert str(caught.value) == f"--explain: {said}"


def test_a_long_run_gets_more_gpus_than_it_needs_where_they_would_idle() -> None:
    made = plan([variant("a", config())], [1], LAB)
    (interval,) = made.intervals.values()
    (row,) = made.variants
    fit = interval.placement.fit
    assert (fit.workers, fit.nodes) == (8, 2)  # Both nodes of the faster kind.
    said = why_so_many(row, interval)
    assert said is not None
    assert said.startswith(f"{fit.hours:.1f} h instead of ")
    assert " h on 1, for " in said


def test_short_runs_of_a_long_queue_keep_to_the_gpus_they_need() -> None:
    made = plan([variant(str(number), config()) for number in range(40)], [1, 2, 3], LAB)
    assert {interval.placement.fit.workers for interval in made.intervals.values()} == {1}
    assert all(why_so_many(made.variants[0], row) is None for row in made.intervals.values())


def test_a_run_on_a_slower_gpu_says_that_the_suite_ends_sooner_so() -> None:
    made = plan([variant(str(n), config()) for n in range(12)], [1, 2, 3], LAB, share=0.0)
    slow = [row for row in made.intervals.values() if row.placement.fit.profile == "V100-32GB"]
    assert why_here(made, made.variants[0], slow[0]).startswith("the suite ends sooner so: A100-")


def test_small_runs_of_a_suite_that_agrees_share_gpus() -> None:
    one = Inventory(name="one", groups=(NodeGroup(profile="A100-80GB", gpus=1, cores=16),))
    short = config(video=VideoConfig(max_frames=64))
    apart = plan([variant("a", short)], [1, 2], one)
    together = plan([variant("a", short)], [1, 2], one, share_gpus=True)
    whole = [row.placement for row in apart.intervals.values()]
    parts = [row.placement for row in together.intervals.values()]
    assert [row.device for row in whole] == [None, None]
    assert [row.device for row in parts] == [0, 0]
    assert [row.start for row in together.intervals.values()] == [0.0, 0.0]
    assert sum(row.fit.share for row in parts) <= 1
    assert sum(row.fit.predicted_gib for row in parts) <= whole[0].fit.limit_gib
    assert sum(row.fit.cores for row in parts) <= 16
    assert parts[0].fit.micro_batch <= whole[0].fit.micro_batch


def test_what_needs_the_whole_card_keeps_it() -> None:
    one = Inventory(
        name="one",
        groups=(
            NodeGroup(profile="V100-32GB", gpus=1, host_memory_gib=256.0),
            NodeGroup(profile="cpu", gpus=4, host_memory_gib=256.0),
        ),
    )
    large = config(model=replace(Config().model, base_model="Qwen/Qwen2-VL-7B-Instruct"))
    made = plan([variant("a", large)], [1], one, share_gpus=True)
    assert {fit.share for fit in made.variants[0].fits} == {1.0}
