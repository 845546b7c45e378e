"""Published files convert key by key: each is taken, decided about in words, or reported."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config
from ntlbg_service.config_files.json_files import read_any
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published.conversion import (
    Imported,
    batch_of,
    import_main,
    is_main,
    is_published,
)
from ntlbg_service.domain.published.keys import KEYS, why_unused
from ntlbg_service.domain.published.suites import import_suite
from ntlbg_service.domain.resolve import Layer, known_paths, resolve

DATA = Path(__file__).parents[2] / "data" / "published"
CONFIGS = Path(__file__).parents[3] / "configs"
EXPERIMENTS = (
    "ablation_studies",
    "sota_comparison",
    "efficiency_analysis",
    "theoretical_validation",
)


def published(name: str) -> dict[str, Any]:
    return read_any(DATA / f"{name}.json")


def main_sections(values: dict[str, Any]) -> dict[str, Any]:
    converted = import_main(values, "main.json").values
    return {
        key: value
        for key, value in converted.items()
        if key not in ("name", "description", "categories")
    }


def suite(values: dict[str, Any], main: dict[str, Any] | None = None) -> Imported:
    main = main or published("longvideo_config")
    return import_suite(
        values,
        "suite.json",
        config="main.json",
        scale="scales/suite.json",
        base=main_sections(main),
        batch=batch_of(main),
    )


def said(imported: Imported, kind: str) -> dict[str, str]:
    return {remark.path: remark.text for remark in imported.remarks if remark.kind == kind}


def overrides(imported: Imported, group: str) -> dict[str, dict[str, Any]]:
    spec = imported.values["groups"][group]
    common = spec.get("overrides", {})
    return {row["name"]: {**common, **row["overrides"]} for row in spec["variants"]}


Trail = tuple[str | int, ...]


def trails(value: Any, trail: Trail = ()) -> Iterator[Trail]:
    """Keys and indices down to every leaf of a file."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        pairs = list(enumerate(value))
    if not pairs:
        yield trail
    for key, item in pairs:
        yield from trails(item, (*trail, key))


def paths(value: Any) -> set[str]:
    """Every leaf of a file, as a person would name it."""
    return {".".join(map(str, trail)) for trail in trails(value)}


def without(values: dict[str, Any], trail: Trail) -> dict[str, Any]:
    fewer = copy.deepcopy(values)
    place: Any = fewer
    for step in trail[:-1]:
        place = place[step]
    del place[trail[-1]]
    return fewer


def reported(path: str, imported: Imported) -> bool:
    return any(
        path == remark.path or path.startswith(f"{remark.path}.") for remark in imported.remarks
    )


def test_every_option_of_the_tables_exists() -> None:
    assert set(KEYS.values()) <= set(known_paths())


def test_the_layouts_are_told_apart() -> None:
    assert is_main(published("longvideo_config"))
    for name in EXPERIMENTS:
        assert is_published(published(name))
        assert not is_main(published(name))
    for path in CONFIGS.rglob("*.json"):
        assert not is_published(read_any(path)), path


def test_a_main_config_keeps_what_it_says() -> None:
    imported = import_main(published("longvideo_config"), "main.json")
    assert imported.values["name"] == "长视频小样"
    config = resolve([Layer("main", main_sections(published("longvideo_config")))]).config
    assert config.video.max_frames == 4096
    assert config.video.representatives(4096) == 512
    assert config.training.global_batch == 32
    assert config.training.optimizer == "adamw"
    assert config.selection.method == "ntlbg"
    assert (config.hardware.profile, config.hardware.num_gpus) == ("A100-40GB", 4)
    assert [(row.name, row.format) for row in config.data.train] == [
        ("LongVideoBench", "longvideobench"),
        ("Video-MME", "video_mme"),
    ]


def test_what_had_to_be_decided_is_said() -> None:
    decided = said(import_main(published("longvideo_config"), "main.json"), "decided")
    assert "'auto': fp16 was meant for a V100" in decided["training_config.fp16"]
    assert "moderate_long 32, long 32, very_long 64" in decided["longvideo_variants"]
    assert "1 x 32 = 32" in decided["training_config.batch_size"]
    assert "2 x 16 = 32" in decided["longvideo_variants.moderate_long.batch_size"]
    assert "A100-40GB only" in decided["hardware_config.gpu_type"]


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ({"fp16": True, "bf16": False}, "auto"),
        ({"fp16": True}, "auto"),
        ({"fp16": False, "bf16": True}, "bf16"),
        ({"bf16": True}, "bf16"),
        ({"fp16": False, "bf16": False}, "fp32"),
    ],
)
def test_two_flags_are_one_precision(flags: dict[str, bool], precision: str) -> None:
    imported = import_main({"training_config": flags}, "main.json")
    assert imported.values["training"] == {"precision": precision}


def test_what_no_option_takes_is_reported_with_its_reason() -> None:
    unused = said(import_main(published("longvideo_config"), "main.json"), "unused")
    assert "no format is known for data set '自制数据'" in unused["dataset_config.train_datasets.2"]
    assert unused["training_config.eval_steps"] == "a run is evaluated once, when it is trained"
    assert "dataset_config.train_datasets.0.video_types" in unused
    assert "hardware_config.memory_optimization.zero_stage" in unused


def test_every_key_of_the_layout_has_a_reason_of_its_own() -> None:
    main = import_main(published("longvideo_config"), "main.json")
    for imported in (main, *(suite(published(name)) for name in EXPERIMENTS)):
        for path, why in said(imported, "unused").items():
            assert why != why_unused("unknown"), path


@pytest.mark.parametrize("name", ["longvideo_config", *EXPERIMENTS])
def test_every_key_changes_something_or_is_reported(name: str) -> None:
    """A key that is neither reported nor changes the result would be dropped silently."""
    convert = suite if name in EXPERIMENTS else lambda values: import_main(values, "main.json")
    values = published(name)
    whole = convert(values)
    for trail in trails(values):
        path = ".".join(map(str, trail))
        if path != "base_config" and not reported(path, whole):
            assert convert(without(values, trail)) != whole, path


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_variant_resolves_on_the_main_config(name: str) -> None:
    imported = suite(published(name))
    base = Layer("main", main_sections(published("longvideo_config")))
    scale = Layer("scale", (imported.scale or {})["overrides"])
    for group in imported.values["groups"]:
        configs: dict[str, Config] = {
            row: resolve([base, scale, Layer(row, values)]).config
            for row, values in overrides(imported, group).items()
        }
        assert imported.values["groups"][group]["baseline"] in configs
        for config in configs.values():
            formats = {row.format for row in (*config.data.train, *config.data.evaluation)}
            assert formats == {"longvideobench"}


def test_loss_terms_bring_a_learned_selection() -> None:
    imported = suite(published("ablation_studies"))
    for row in overrides(imported, "ntlbg_constraint").values():
        assert row["selection.query"] == "learned"
    assert "selection.query" not in overrides(imported, "representative_count")["rep_64"]
    whole = overrides(imported, "loss_weights")["balanced_weights"]
    assert whole["training.loss.diversity_regularization"] == 0.5
    assert any(
        remark.path == "ablation_experiments.loss_weights" and "learned" in remark.text
        for remark in imported.remarks
    )


def test_a_memory_bank_without_temporal_layers_is_reported() -> None:
    unused = said(suite(published("ablation_studies")), "unused")
    (path,) = [path for path in unused if path.endswith("memory_bank_size")]
    assert unused[path] == "needs temporal_attention_layers above 0 beside it"


def test_methods_that_are_not_built_are_left_out_and_named() -> None:
    imported = suite(published("sota_comparison"))
    rows = overrides(imported, "methods")
    assert list(rows) == [
        *("uniform_sampling", "clip_sampling", "qwen2_vl", "random_sampling", "llava_video"),
        *("ntlbg_full", "ntlbg_lite", "ntlbg_ultra"),
    ]
    assert imported.values["groups"]["methods"]["baseline"] == "uniform_sampling"
    assert "this method is not built" in said(imported, "unused")["baseline_methods.gens"]
    decided = said(imported, "decided")
    assert decided["baseline_methods.qwen2_vl"] == (
        "selection.method is 'all_frames' for 'qwen2_vl', not 'uniform'"
    )
    assert rows["clip_sampling"]["selection.method"] == "clip_topk"


def test_data_sets_of_an_experiment_lie_where_the_main_config_has_them() -> None:
    main = published("longvideo_config")
    main["dataset_config"]["val_datasets"][0]["path"] = "/disk/lvb"
    evaluation = suite(published("sota_comparison"), main).values["overrides"]["data.evaluation"]
    assert [row["path"] for row in evaluation] == ["/disk/lvb", "mlvu/val"]
    assert [row["weight"] for row in evaluation] == [0.4, 0.3]


def test_an_efficiency_analysis_measures_short_runs() -> None:
    imported = suite(published("efficiency_analysis"))
    assert imported.values["primary_metric"] == "seconds_per_question"
    assert imported.values["overrides"]["training.max_steps"] == 100
    assert overrides(imported, "video_length_scaling")["length_300s"]["video.max_frames"] == 9000
    batches = overrides(imported, "batch_size_scaling")
    assert batches["batch_16"] == {"hardware.num_gpus": None, "training.global_batch": 16}
    assert list(overrides(imported, "hardware_comparison")) == ["v100_32gb", "a100_80gb"]
    unknown = "analysis_scenarios.hardware_comparison.gpu_configs.2.name"
    assert "unknown GPU kind '未知卡'" in said(imported, "unused")[unknown]
    assert imported.values["seeds"] == [1, 2, 3], "timings repeated ten times are no seeds"


def test_a_variant_that_the_main_config_does_not_allow_is_left_out() -> None:
    main = published("longvideo_config")
    main["video_config"] |= {"max_frames": 256, "num_representatives": 32}
    values = published("ablation_studies")
    imported = suite(values, main)
    assert list(overrides(imported, "representative_count")) == ["rep_64"]
    assert imported.values["groups"]["representative_count"]["baseline"] == "rep_64"
    place = "ablation_experiments.representative_count.variants.1"
    assert "must not exceed max_frames (256)" in said(imported, "unused")[place]


def test_a_second_variant_of_a_name_is_left_out() -> None:
    values = published("ablation_studies")
    rows = values["ablation_experiments"]["representative_count"]["variants"]
    rows.append({"name": "rep_64", "config_overrides": {}})
    unused = said(suite(values), "unused")
    place = "ablation_experiments.representative_count.variants.2"
    assert unused[place] == "the group has a variant 'rep_64' already"


def test_theory_takes_the_files_seeds() -> None:
    imported = suite(published("theoretical_validation"))
    assert imported.values["seeds"] == [42, 123, 456, 789, 1011]
    assert set(imported.values["groups"]) == set(
        published("theoretical_validation")["validation_experiments"]
    )


BROKEN: list[tuple[str, Any, str]] = [
    ("training_config.batch_size", 0, "training_config.batch_size: must be a whole number above 0"),
    ("training_config.batch_size", None, "training_config.batch_size: must be a whole number"),
    ("training_config.fp16", "yes", "training_config.fp16: must be true or false"),
    ("training_config.learning_rate", "5e-5", "training_config.learning_rate: must be a valid num"),
    ("training_config.learning_rate", -1, "training.learning_rate: must be above 0"),
    ("hardware_config.gpu_type", "A100_41GB", "did you mean 'A100-40GB'?"),
    ("video_config.frame_resolution", [224], "video_config.frame_resolution"),
    ("video_config.frame_resolution", [225, 224], "must be multiples of 28"),
    ("model_name", 7, "model_name: must be a text, got 7"),
    ("longvideo_variants.long.num_representatives", 5000, "longvideo_variants.long"),
    ("video_config.num_representatives", True, "video_config.num_representatives: must be"),
]


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_a_bad_value_is_one_line_with_its_path(path: str, value: Any, message: str) -> None:
    values = published("longvideo_config")
    *parents, leaf = path.split(".")
    place = values
    for part in parents:
        place = place[part]
    place[leaf] = value
    with pytest.raises(UserError) as caught:
        import_main(values, "main.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("main.json: ")
    assert "\n" not in str(caught.value)


def test_of_two_keys_for_one_option_the_second_is_reported() -> None:
    values = published("longvideo_config")
    values["model_config"]["num_representatives"] = 64
    imported = import_main(values, "main.json")
    assert imported.values["video"]["num_representatives"] == 512
    unused = said(imported, "unused")["model_config.num_representatives"]
    assert unused == "another key has set video.num_representatives to 512"


def test_a_path_written_twice_is_refused() -> None:
    values = published("longvideo_config")
    values["video_config.max_frames"] = 128
    with pytest.raises(UserError, match=r"video_config\.max_frames: stands twice"):
        import_main(values, "main.json")


def test_a_file_with_nothing_to_run_is_refused() -> None:
    values = {"experiment_name": "x", "baseline_methods": {"gens": {"name": "GenS"}}}
    with pytest.raises(UserError, match="nothing in it is an experiment"):
        suite(values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
KNOWN = st.sampled_from(["name", "enable", "max_frames", "batch_size", "variants", "fp16", "."])


def sections(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a file, with where it stands."""
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items) if isinstance(value, dict | list) else []:
        if isinstance(item, dict | list):
            yield from sections(item, f"{path}.{key}" if path else str(key))


KEY = st.text(min_size=1, max_size=5) | KNOWN


@given(data=st.data(), keys=st.lists(KEY, min_size=1, max_size=4))
def test_extra_keys_at_any_depth_are_reported_or_refused_in_one_line(
    data: st.DataObject, keys: list[str]
) -> None:
    values = published("longvideo_config")
    known = paths(values)
    plain = import_main(values, "main.json").values
    for key in keys:
        _, place = data.draw(st.sampled_from(list(sections(values))))
        place.setdefault(key, data.draw(JSON))
    try:
        imported = import_main(values, "main.json")
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        return
    for path in paths(values) - known:
        assert reported(path, imported) or imported.values != plain, path


@given(data=st.data(), name=st.sampled_from(EXPERIMENTS), value=JSON)
def test_whatever_stands_in_an_experiment_file_is_no_traceback(
    data: st.DataObject, name: str, value: Any
) -> None:
    values = published(name)
    _, place = data.draw(st.sampled_from(list(sections(values))))
    place[data.draw(st.sampled_from([*place, "extra"]))] = value
    try:
        imported = suite(values)
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert imported.values["groups"]
