"""Layers of JSON become one config, or one line that says what is wrong and where."""

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, MetricLine
from ntlbg_service.domain.resolve import (
    DEFAULT,
    Layer,
    Resolved,
    choices,
    field_type,
    json_schema,
    known_paths,
    leaves,
    parse,
    resolve,
)
from ntlbg_service.domain.suite import CategorySpec, ScaleSpec, SuiteSpec
from ntlbg_service.domain.sweep import SweepSpec


def one(values: dict[str, Any]) -> Resolved:
    return resolve([Layer("a.json", values)])


def error_of(values: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        one(values)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_without_layers_every_value_is_the_default() -> None:
    resolved = resolve([])
    assert resolved.config == Config()
    assert set(resolved.provenance.values()) == {DEFAULT}
    assert set(resolved.provenance) == set(known_paths())


def test_later_layers_win_and_every_value_knows_its_source() -> None:
    resolved = resolve(
        [
            Layer("base", {"video": {"max_frames": 512}, "training": {"max_steps": 2000}}),
            Layer("suite", {"video.max_frames": 256, "training.loss": {"task": 0.5}}),
            Layer("variant", {"training.loss.task": 2}),
        ]
    )
    assert resolved.config.video.max_frames == 256
    assert resolved.config.training.max_steps == 2000
    assert resolved.config.training.loss.task == 2.0
    assert resolved.provenance["video.max_frames"] == "suite"
    assert resolved.provenance["training.max_steps"] == "base"
    assert resolved.provenance["training.loss.task"] == "variant"
    assert resolved.provenance["training.loss.feature_alignment"] == DEFAULT


def test_a_section_merges_and_a_list_is_replaced() -> None:
    first = {"name": "a", "path": "a"}
    second = {"name": "b", "path": "b"}
    resolved = resolve(
        [
            Layer("base", {"data": {"train": [first, second], "evaluation": [first]}}),
            Layer("scale", {"data.train": [second]}),
        ]
    )
    assert [dataset.name for dataset in resolved.config.data.train] == ["b"]
    assert [dataset.name for dataset in resolved.config.data.evaluation] == ["a"]
    assert resolved.provenance["data.train"] == "scale"
    assert resolved.provenance["data.evaluation"] == "base"


def test_a_later_layer_can_correct_an_earlier_one() -> None:
    layers = [
        Layer("base", {"training.max_steps": 10}),
        Layer("scale", {"training.warmup_steps": 1}),
    ]
    assert resolve(layers).config.training.warmup_steps == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainin": {}}, "trainin: unknown key; did you mean 'training'?"),
        ({"training": {"lr": 1}}, "training.lr: unknown key; valid here: "),
        (
            {"training": {"learning_rat": 1}},
            "training.learning_rat: unknown key; did you mean 'training.learning_rate'?",
        ),
        ({"max_steps": 10}, "max_steps: unknown key; did you mean 'training.max_steps'?"),
        (
            {"video.learning_rate": 1},
            "video.learning_rate: unknown key; did you mean 'training.learning_rate'?",
        ),
        (
            {"selection": {"stand_out": 2}},
            "selection.stand_out: unknown key; it is called 'selection.min_prominence' now",
        ),
        (
            {"selection.quiet_cells": "typical"},
            "selection.quiet_cells: unknown key; it is called 'selection.empty_cell_policy' now",
        ),
        (
            {"training.max_steps.value": 1},
            "training.max_steps.value: unknown key; 'training.max_steps' is set as a whole",
        ),
        ({"video": 3}, "video: must be an object, got 3"),
        (
            {"video": 3, "video.max_frames": 8},
            "video.max_frames: 'video' was set to a single value before",
        ),
        (
            {"training.max_steps": "10"},
            'training.max_steps: must be a valid integer, got "10"',
        ),
        (
            {"training.max_steps": 10.5},
            "training.max_steps: must be a valid integer, got 10.5",
        ),
        (
            {"training.max_steps": True},
            "training.max_steps: must be a valid integer, got true",
        ),
        (
            {"model.flash_attention": 1},
            "model.flash_attention: must be a valid boolean, got 1",
        ),
        (
            {"training.learning_rate": 0},
            "training.learning_rate: must be above 0, got 0.0",
        ),
        (
            {"training.learning_rate": float("nan")},
            "training.learning_rate: must be above 0, got nan",
        ),
        (
            {"selection.uniform_floor": 2},
            "selection.uniform_floor: must be between 0 and 1, got 2.0",
        ),
        (
            {"selection.method": "unifrom"},
            "selection.method: 'unifrom' is not a choice; did you mean 'uniform'?",
        ),
        (
            {"model.temporal.layers": 3},
            "model.temporal.layers: 3 is not a choice; valid: 0, 2, 4, 6",
        ),
        (
            {"model.temporal.hierarchical": True},
            "model.temporal.hierarchical: needs temporal layers above 0",
        ),
        (
            {"model.vision": "trained"},
            "model.vision: 'trained' needs tuning 'full', got 'lora'",
        ),
        (
            {"model.vision_cache_mib": -1},
            "model.vision_cache_mib: must be at least 0, got -1",
        ),
        (
            {"evaluation.metrics": ["acuracy"]},
            "evaluation.metrics.0: 'acuracy' is not a choice; did you mean 'accuracy'?",
        ),
        (
            {"video.frame_resolution": [56, 57]},
            "video.frame_resolution: must be multiples of 28 (patch 14, merged 2 x 2), got 57",
        ),
        ({"video.frame_resolution": [56]}, "video.frame_resolution.1: is required"),
        (
            {"video.frame_resolution": [56, 56, 56]},
            "video.frame_resolution: must have at most 2 items",
        ),
        (
            {"data.train": [{"name": "a", "pth": "a"}]},
            "data.train.0.pth: unknown key; did you mean 'path'?",
        ),
        ({"data.train": [{"name": "a"}]}, "data.train.0.path: is required"),
        (
            {"model.tuning": "none"},
            "training.max_steps: must be 0 when model.tuning is 'none', got 10000",
        ),
        (
            {"training.max_steps": 10},
            "training.warmup_steps: must not exceed max_steps (10), got 1000",
        ),
        (
            {"hardware.profile": "A100-4OGB"},
            "hardware.profile: unknown GPU kind 'A100-4OGB'; did you mean 'A100-40GB'?",
        ),
    ],
)
def test_wrong_input_is_one_line_with_path_and_choice(values: dict[str, Any], message: str) -> None:
    assert error_of(values).startswith(f"a.json: {message}")


def test_an_error_names_the_layer_it_comes_from() -> None:
    layers = [
        Layer("base.json", {"video.max_frames": 512}),
        Layer("suite.json groups.g.variants.v", {"selection.temperature": -1}),
        Layer("scale.json", {"video.max_frames": 256}),
    ]
    with pytest.raises(UserError, match=r"^suite\.json groups\.g\.variants\.v: selection\."):
        resolve(layers)


def test_a_gpu_kind_may_go_by_another_name() -> None:
    assert one({"hardware.profile": "A100_80GB"}).config.hardware.profile == "A100_80GB"


def section_classes(kind: type) -> list[type]:
    found = [kind]
    for field in fields(kind):  # type: ignore[arg-type]
        if is_dataclass(field.type) and isinstance(field.type, type):
            found += section_classes(field.type)
    return found


@pytest.mark.parametrize(
    "kind",
    [
        *section_classes(Config),
        SuiteSpec,
        ScaleSpec,
        CategorySpec,
        SweepSpec,
        Inventory,
        LaunchSpec,
        ExitRecord,
        MetricLine,
    ],
    ids=lambda kind: kind.__name__,
)
def test_no_class_drops_unknown_keys(kind: type) -> None:
    with pytest.raises(UserError, match=r"^f: zzz: unknown key; valid here: \w+"):
        parse(kind, {"zzz": 1}, "f")


def test_unknown_keys_are_named_below_dictionaries_and_lists() -> None:
    suite = {
        "name": "s",
        "config": "c",
        "groups": {"g": {"baseline": "a", "variants": [{"name": "a", "overides": {}}]}},
    }
    with pytest.raises(UserError) as caught:
        parse(SuiteSpec, suite, "s.json")
    assert str(caught.value) == (
        "s.json: groups.g.variants.0.overides: unknown key; did you mean 'overrides'?"
    )


def test_an_error_without_a_place_shows_the_source_alone() -> None:
    with pytest.raises(UserError, match=r"^s\.json: must be an object, got 3$"):
        parse(SuiteSpec, 3, "s.json")  # type: ignore[arg-type]


JSON_CONFIG = st.fixed_dictionaries(
    {},
    optional={
        "video.max_frames": st.integers(1024, 9000),
        "video.num_representatives": st.none() | st.integers(2, 1024),
        "selection.temperature": st.floats(0.01, 100),
        "selection.rank": st.integers(1, 64),
        "training.learning_rate": st.floats(1e-8, 1),
        "training.precision": st.sampled_from(choices("training.precision")),
        "training.loss.task": st.floats(0.1, 2),
        "model.base_model": st.text(min_size=1).filter(str.strip),
    },
)


@given(JSON_CONFIG)
def test_a_resolved_config_resolves_to_itself(values: dict[str, Any]) -> None:
    config = one(values).config
    again = json.loads(json.dumps(asdict(config)))
    assert one(again).config == config


@given(st.lists(JSON_CONFIG, max_size=4))
def test_layers_are_as_good_as_their_union(layers: list[dict[str, Any]]) -> None:
    union: dict[str, Any] = {}
    for values in layers:
        union |= values
    stacked = resolve([Layer(str(number), values) for number, values in enumerate(layers)])
    assert stacked.config == one(union).config
    for path in union:
        newest = max(number for number, values in enumerate(layers) if path in values)
        assert stacked.provenance[path] == str(newest)


def test_choices_are_those_of_the_option() -> None:
    assert choices("model.quantisation") == ("none", "int8", "nf4")
    assert choices("training.max_steps") == ()


def test_every_leaf_has_a_type() -> None:
    assert set(known_paths()) == set(leaves(Config()))
    for path in known_paths():
        assert field_type(path, "t") is not None


def test_the_schema_documents_every_option() -> None:
    schema = json_schema(Config)
    for name, section in schema["$defs"].items():
        assert section["additionalProperties"] is False, name
        for option, described in section["properties"].items():
            assert described["description"], f"{name}.{option}"


@pytest.mark.parametrize("path", ["model.trust_remote_code", "trust_remote_code"])
def test_code_of_a_checkpoint_is_refused_by_name(path: str) -> None:
    with pytest.raises(UserError, match=r"trust_remote_code: .*never run$"):
        resolve([Layer("main.json", {path: True})])
    with pytest.raises(UserError, match=r"trust_remote_code: .*never run$"):
        parse(Config, {"model": {"trust_remote_code": True}}, "main.json")
