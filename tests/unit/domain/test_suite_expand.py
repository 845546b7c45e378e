"""A suite file becomes variants, and variants become runs with stable identities."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.expansion import expand, pick
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.run_identity import Identity, changes, config_digest, digest
from ntlbg_service.domain.suite import CategorySpec, ScaleSpec, SuiteFiles, SuiteSpec

FLOOR = {
    "baseline": "half",
    "overrides": {"selection.temperature": 0.5},
    "variants": [
        {"name": "half", "overrides": {"selection.uniform_floor": 0.5}},
        {"name": "none", "overrides": {"selection.uniform_floor": 0.0, "video.max_frames": 64}},
        {
            "name": "small",
            "overrides": {"video.max_frames": 2048},
            "scales": {"laptop": {"video.max_frames": 32}},
        },
    ],
}
METHOD = {
    "baseline": "uniform",
    "variants": [{"name": "uniform", "overrides": {"selection.method": "uniform"}}],
}


def suite(**changed: Any) -> SuiteSpec:
    values = {
        "name": "ablation_studies",
        "config": "base.json",
        "groups": {"floor": FLOOR, "method": METHOD},
        "scales": {"laptop": "laptop.json"},
    }
    return parse(SuiteSpec, values | changed, "s.json")


def files(**changed: Any) -> SuiteFiles:
    values: dict[str, Any] = {
        "source": "s.json",
        "suite": suite(),
        "base_source": "base.json",
        "base": {"video": {"max_frames": 4096, "num_representatives": None}},
        "categories": {
            "long": CategorySpec(description="", overrides={"video.max_frames": 8192}),
        },
    }
    return SuiteFiles(**values | changed)


LAPTOP = {
    "scale": "laptop",
    "scale_source": "laptop.json",
    "scale_spec": ScaleSpec(overrides={"video.max_frames": 512}),
}


def test_variants_come_in_the_order_of_the_file() -> None:
    found = expand(files())
    assert [(row.group, row.name, row.baseline) for row in found] == [
        ("floor", "half", True),
        ("floor", "none", False),
        ("floor", "small", False),
        ("method", "uniform", True),
    ]


def test_layers_win_from_the_inside() -> None:
    spec = suite(category="long", overrides={"selection.temperature": 0.9})
    half, none, small, uniform = expand(files(suite=spec, **LAPTOP))
    assert half.config.video.max_frames == 512, "the scale wins over the category"
    assert half.config.selection.temperature == 0.5, "the group wins over the suite"
    assert uniform.config.selection.temperature == 0.9
    assert none.config.video.max_frames == 64, "the variant wins over the scale"
    assert small.config.video.max_frames == 32, "the variant's scale wins over the variant"
    assert small.provenance["video.max_frames"] == (
        "s.json groups.floor.variants.small.scales.laptop"
    )


def test_without_a_scale_the_category_holds() -> None:
    half, _, small, _ = expand(files(suite=suite(category="long")))
    assert half.config.video.max_frames == 8192
    assert small.config.video.max_frames == 2048


def test_the_scale_is_part_of_the_key_and_may_have_seeds() -> None:
    assert files().key == "ablation_studies"
    assert files(**LAPTOP).key == "ablation_studies@laptop"
    assert files(**LAPTOP).seeds == (1, 2, 3)
    assert files(**LAPTOP | {"scale_spec": ScaleSpec(seeds=(7,))}).seeds == (7,)


def test_groups_and_variants_choose_a_part_with_its_baseline() -> None:
    assert [row.name for row in expand(files(), groups=["method"])] == ["uniform"]
    assert [row.name for row in expand(files(), variants=["none"])] == ["half", "none"]
    assert [row.name for row in expand(files(), ["floor"], ["half"])] == ["half"]


@pytest.mark.parametrize(
    ("groups", "variants", "message"),
    [
        (["flor"], [], "s.json: unknown group 'flor'; did you mean 'floor'?"),
        (["q"], [], "s.json: unknown group 'q'; valid: floor, method"),
        ([], ["hal"], "s.json: unknown variant 'hal'; did you mean 'half'?"),
        (["method"], ["none"], "s.json: unknown variant 'none'; valid: uniform"),
    ],
)
def test_an_unknown_choice_is_named(groups: list[str], variants: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        expand(files(), groups, variants)
    assert str(caught.value) == message


def test_a_bad_override_names_its_place() -> None:
    rows = [{"name": "a", "overrides": {"selection.methd": "x"}}]
    spec = suite(groups={"g": {"baseline": "a", "variants": rows}})
    with pytest.raises(UserError) as caught:
        expand(files(suite=spec))
    assert str(caught.value) == (
        "s.json groups.g.variants.a: selection.methd: unknown key; did you mean 'selection.method'?"
    )


def test_an_unknown_category_is_named() -> None:
    with pytest.raises(UserError, match=r"^s\.json: unknown category 'lng'; did you mean 'long'"):
        expand(files(suite=suite(category="lng")))


@pytest.mark.parametrize(
    ("experiment", "chosen"),
    [
        ("floor", (("floor",), ())),
        ("ablation_floor", (("floor",), ())),
        ("half", ((), ("half",))),
        ("ablation_none", ((), ("none",))),
    ],
)
def test_experiment_is_a_group_or_a_variant(experiment: str, chosen: Any) -> None:
    assert pick(files(), experiment) == chosen


def test_an_unknown_experiment_is_named() -> None:
    with pytest.raises(UserError, match=r"unknown group or variant 'flor'; did you mean 'floor'"):
        pick(files(), "ablation_flor")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"groups": {}}, "groups: must not be empty"),
        ({"seeds": [1, 1]}, "seeds: must be distinct and at least one, got [1, 1]"),
        ({"seeds": []}, "seeds: must be distinct and at least one, got []"),
        ({"scale": "lap"}, "scale: names 'lap', no scale of the suite; valid: laptop"),
        (
            {"scales": {}},
            "groups.floor.variants.small.scales: names 'laptop', no scale of the suite; "
            "valid: none",
        ),
        (
            {"groups": {"g": {"baseline": "a", "variants": []}}},
            "groups.g.variants: must not be empty",
        ),
        (
            {"groups": {"g": {"baseline": "a", "variants": [{"name": "a"}, {"name": "a"}]}}},
            "groups.g.variants: name 'a' twice",
        ),
        (
            {"groups": {"g": {"baseline": "unifom", "variants": METHOD["variants"]}}},
            "groups.g.baseline: 'unifom' is not a variant; did you mean 'uniform'?",
        ),
        (
            {"primary_metric": "acuracy"},
            "primary_metric: 'acuracy' is not a choice; did you mean 'accuracy'?",
        ),
    ],
)
def test_a_wrong_suite_is_one_line(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        suite(**changed)
    assert str(caught.value) == f"s.json: {message}"


def test_repeated_seeds_of_a_scale_are_refused() -> None:
    with pytest.raises(UserError, match=r"^l\.json: seeds: must be distinct"):
        parse(ScaleSpec, {"seeds": [2, 2]}, "l.json")


IDENTITY = Identity(
    suite="s", group="g", variant="v", config="c", seed=1, data="d", code="k", repetition=0
)


def test_a_run_id_is_stable() -> None:
    assert IDENTITY.run_id == "a1e31c82acdc969b"


@given(
    st.sampled_from(["suite", "group", "variant", "config", "data", "code"]),
    st.text(min_size=1, max_size=5),
)
def test_a_run_id_depends_on_every_part(part: str, value: str) -> None:
    other = replace(IDENTITY, **{part: value})
    assert (other.run_id == IDENTITY.run_id) == (other == IDENTITY)


def test_a_run_id_depends_on_seed_and_repetition() -> None:
    ids = {replace(IDENTITY, seed=seed, repetition=n).run_id for seed in (1, 2) for n in (0, 1)}
    assert len(ids) == 4


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_a_digest_ignores_the_order_of_keys(values: dict[str, Any]) -> None:
    assert digest(values) == digest(dict(reversed(values.items())))


def test_where_a_run_may_go_is_not_part_of_what_it_learns() -> None:
    config = Config()
    assert config_digest(config) == config_digest(
        replace(config, hardware=HardwareConfig(profile="A100-80GB", num_gpus=4))
    )
    assert config_digest(config) != config_digest(
        replace(config, training=replace(config.training, global_batch=64))
    )


def test_changes_name_the_parts_that_differ() -> None:
    old = {"config": "c", "data": "other", "code": "k"}
    assert changes(old, IDENTITY) == ["data"]
    assert changes({}, IDENTITY) == ["config", "data", "code"]
