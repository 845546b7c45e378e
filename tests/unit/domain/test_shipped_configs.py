"""Every file that ships validates, expands and plans; what is not built is refused by name."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ntlbg_model.config import Config
from ntlbg_service.config_files.json_files import read_json
from ntlbg_service.config_files.loader import (
    load_inventory,
    load_kind,
    load_main,
    load_suite,
    load_sweep,
)
from ntlbg_service.domain.expansion import Variant, base_layers, expand, pick
from ntlbg_service.domain.hardware.profiles import Profile, including, recognise
from ntlbg_service.domain.planning.plan import Plan, plan
from ntlbg_service.domain.resolve import Layer, leaves, parse, resolve
from ntlbg_service.domain.suite import SuiteSpec

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
SUITES = [CONFIGS / "quickstart.json", *sorted((CONFIGS / "experiments").glob("*.json"))]
EXPERIMENTS = [path.stem for path in SUITES[1:]]
PROFILES = sorted((CONFIGS / "profiles").glob("*.json"))
INVENTORIES = sorted((CONFIGS / "inventories").glob("*.json"))


def variants_of(name: str, scale: str | None, group: str) -> dict[str, Variant]:
    files = load_suite(CONFIGS / "experiments" / f"{name}.json", scale)
    return {variant.name: variant for variant in expand(files, [group])}


def planned(path: Path, scale: str | None, inventory: str) -> Plan:
    files = load_suite(path, scale)
    return plan(
        expand(files), files.seeds, load_inventory(CONFIGS / f"inventories/{inventory}.json")
    )


def refusals(plan: Plan) -> dict[str, str]:
    return {row.variant.name: row.refusal for row in plan.variants if row.refusal}


def test_gpu_kinds_of_files_are_known_by_what_nvml_says() -> None:
    kinds = [load_kind(path) for path in PROFILES]
    found = recognise("NVIDIA A100-SXM4-80GB MIG 3g.40gb", 39.25, kinds)
    assert found and found.name == "A100-3G-40GB"


def test_every_json_file_is_known_to_this_test() -> None:
    known = {
        CONFIGS / "longvideo_config.json",
        CONFIGS / "caps.json",
        *SUITES,
        *INVENTORIES,
        *(CONFIGS / "scales").glob("*.json"),
        *(CONFIGS / "sweeps").glob("*.json"),
        *PROFILES,
    }
    assert set(CONFIGS.rglob("*.json")) == known
    assert EXPERIMENTS == [
        "ablation_studies",
        "efficiency_analysis",
        "selection_methods",
        "sota_comparison",
        "theoretical_validation",
    ]


def test_the_main_config_is_the_guides() -> None:
    sections, categories = load_main(CONFIGS / "longvideo_config.json")
    config = resolve([Layer("main", sections)]).config
    defaults = leaves(Config())
    differing = {path for path, value in leaves(config).items() if value != defaults[path]}
    assert differing == {"video.num_representatives", "data.train", "data.evaluation"}
    assert config.video.representatives(4096) == 512
    for part in (config.data.train, config.data.evaluation):
        assert [(row.name, row.weight) for row in part] == [
            ("LongVideoBench", 0.4),
            ("Video-MME", 0.3),
            ("MLVU", 0.3),
        ]
    found = {
        name: resolve([Layer("main", sections), Layer(name, category.overrides)]).config
        for name, category in categories.items()
    }
    assert {
        name: (
            config.video.max_frames,
            config.video.representatives(config.video.max_frames),
            config.training.global_batch,
        )
        for name, config in found.items()
    } == {
        "moderate_long": (2048, 256, 32),
        "long": (4096, 512, 32),
        "very_long": (8192, 1024, 64),
    }


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_expands_at_every_scale(path: Path) -> None:
    spec = parse(SuiteSpec, read_json(path), str(path))
    assert spec.name == path.stem
    assert spec.description
    assert all(group.description for group in spec.groups.values())
    for scale in (None, *spec.scales):
        files = load_suite(path, scale)
        variants = expand(files)
        assert sum(variant.baseline for variant in variants) == len(spec.groups)
        for group in spec.groups:
            rows = [variant for variant in variants if variant.group == group]
            distinct = {repr(variant.config) for variant in rows}
            assert len(distinct) == len(rows) > 1, f"{group} holds the same config twice"


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_variant_of_a_suite_is_meant(path: Path) -> None:
    """An override that repeats what held before is allowed for one variant of a group: the one
    that spells the default out."""
    files = load_suite(path, "laptop")
    base = resolve(base_layers(files)).config
    for group in files.suite.groups:
        same = [row.name for row in expand(files, [group]) if row.config == base]
        assert len(same) <= 1


def test_the_quickstart_is_a_laptops_by_itself() -> None:
    files = load_suite(CONFIGS / "quickstart.json")
    assert files.key == load_suite(CONFIGS / "quickstart.json", "laptop").key
    made = planned(CONFIGS / "quickstart.json", None, "laptop")
    assert refusals(made) == {}
    assert {name for _, name, _ in made.intervals} == {"uniform", "ntlbg", "median_contour"}
    assert {row.variant.config.model.base_model for row in made.variants} == {"tiny"}
    kept = {row.variant.config.video.representatives(512) for row in made.variants}
    assert kept == {64}, "all methods pay the same tokens"


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_what_is_refused_on_a_laptop_is_not_built_or_needs_a_gpu(path: Path) -> None:
    made = planned(path, "laptop", "laptop")
    assert made.intervals
    for name, reason in refusals(made).items():
        asks = reason.startswith("cpu: hardware.profile asks for ")
        assert reason.startswith("not built yet: ") or asks, f"{name}: {reason}"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_suites_plan_on_a_lab_of_three_kinds_of_gpu(name: str) -> None:
    made = planned(CONFIGS / "experiments" / f"{name}.json", None, "lab")
    assert made.intervals
    assert all(reason.startswith("not built yet: ") for reason in refusals(made).values())
    for interval in made.intervals.values():
        fit = interval.placement.fit
        assert fit.predicted_gib <= fit.limit_gib


def test_the_comparison_and_the_points_ablations_run_today() -> None:
    comparison = planned(CONFIGS / "experiments" / "sota_comparison.json", "laptop", "laptop")
    assert refusals(comparison) == {}
    for group in ("rich_points", "temporal_modeling"):
        files = load_suite(CONFIGS / "experiments" / "ablation_studies.json", "laptop")
        inventory = load_inventory(CONFIGS / "inventories" / "laptop.json")
        assert refusals(plan(expand(files, [group]), files.seeds, inventory)) == {}


def test_the_ablation_of_the_constraint_runs_today() -> None:
    made = planned(CONFIGS / "experiments" / "ablation_studies.json", "laptop", "laptop")
    ran = {(group, name) for group, name, _ in made.intervals}
    assert {name for group, name in ran if group == "ntlbg_constraint"} == {
        "without_ntlbg",
        "soft_ntlbg",
        "hard_ntlbg",
    }
    kinds = variants_of("ablation_studies", None, "ntlbg_constraint")
    assert [row.config.selection.constraint_type for row in kinds.values()] == [
        "none",
        "soft_equicontour",
        "hard_equicontour",
    ]


@pytest.mark.parametrize(
    ("scale", "frames", "kept"),
    [(None, 4096, [64, 128, 256, 512, 1024]), ("laptop", 512, [16, 32, 64, 128, 256])],
)
def test_representative_counts_differ_at_every_scale(
    scale: str | None, frames: int, kept: list[int]
) -> None:
    rows = variants_of("ablation_studies", scale, "representative_count").values()
    assert [row.config.video.representatives(frames) for row in rows] == kept


def test_video_lengths_keep_an_eighth() -> None:
    rows = variants_of("efficiency_analysis", None, "video_length_scaling").values()
    found = [row.config.video for row in rows]
    assert [video.representatives(video.max_frames) for video in found] == [128, 256, 512, 768]


def test_the_comparison_holds_what_the_guide_names() -> None:
    files = load_suite(CONFIGS / "experiments" / "sota_comparison.json")
    names = {variant.name for variant in expand(files)}
    assert names >= {
        *("uniform_sampling", "clip_sampling", "qwen2_vl", "llava_video", "video_chatgpt"),
        *("videollama", "valley", "video_llama2", "pllava", "random_sampling", "aks", "bolt"),
        *("q_frame", "dpp", "kmeans", "farthest_point"),
        *("ntlbg_full", "ntlbg_lite", "ntlbg_ultra"),
    }


@pytest.mark.parametrize(
    ("name", "experiment", "count"),
    [
        ("ablation_studies", "ablation_ntlbg_constraint", 3),
        ("sota_comparison", "sota_uniform_sampling", 1),
        ("sota_comparison", "sota_ntlbg_full", 2),
    ],
)
def test_the_published_commands_choose_one_group_or_variant(
    name: str, experiment: str, count: int
) -> None:
    files = load_suite(CONFIGS / "experiments" / f"{name}.json")
    assert len(expand(files, *pick(files, experiment))) == count


def test_the_comparison_pays_the_same_frames_but_for_the_one_it_names() -> None:
    for scale, frames, kept in ((None, 4096, 512), ("laptop", 512, 64)):
        rows = variants_of("sota_comparison", scale, "frame_selection")
        paid = {
            name: row.config.video.representatives(frames)
            for name, row in rows.items()
            if row.config.selection.method != "all_frames"
        }
        assert set(paid.values()) == {kept}
        assert set(rows) - set(paid) == {"qwen2_vl"}


def test_three_benchmarks_are_refused_by_name_until_they_have_readers() -> None:
    path = CONFIGS / "experiments" / "ablation_studies.json"
    files = load_suite(path)
    without_scale = replace(files, scale=None, scale_spec=None)
    lab = load_inventory(CONFIGS / "inventories" / "lab.json")
    made = plan(expand(without_scale, ["representative_count"]), [1], lab)
    refusal = made.variants[0].refusal
    assert refusal is not None
    assert "data.train.1.format = 'video_mme'" in refusal
    assert "data.evaluation.2.format = 'mlvu'" in refusal


@pytest.mark.parametrize("path", sorted((CONFIGS / "sweeps").glob("*.json")), ids=lambda p: p.stem)
def test_every_sweep_starts_from_a_variant_and_stays_valid(path: Path) -> None:
    spec = load_sweep(path)
    files = load_suite(path.parent / spec.suite, spec.scale)
    assert any(row.name == spec.variant for row in expand(files, variants=[spec.variant]))
    points = list(spec.points())
    for point in points:
        resolve([*base_layers(files), Layer(str(path), spec.overrides), Layer("point", point)])
    assert [point["video.num_representatives"] for point in points] == [16, 32, 64]


def test_the_lab_and_the_cloud_hold_three_kinds_of_gpu() -> None:
    kinds = {"V100-32GB", "A100-40GB", "A100-80GB"}
    capacity = {path.stem: load_inventory(path).capacity() for path in INVENTORIES}
    assert capacity["lab"] == dict.fromkeys(capacity["lab"], 8)
    assert set(capacity["lab"]) == set(capacity["cloud"]) == kinds
    assert capacity["laptop"] == {"cpu": 1}


def in_the_readme(key: str) -> dict[str, Any]:
    """The example of the README that has a key."""
    text = (CONFIGS / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)
    (values,) = [found for example in examples if key in (found := json.loads(example))]
    return dict(values)


def test_the_kind_of_gpu_in_the_readme_is_valid_and_recognised() -> None:
    kind = parse(Profile, in_the_readme("products"), "README.md")
    kinds = including((), kind, "README.md")
    assert recognise("NVIDIA RTX 6000 Ada Generation", 47.99, kinds) == kind


def test_the_suite_in_the_readme_is_valid() -> None:
    values = in_the_readme("groups")
    spec = parse(SuiteSpec, values, "README.md")
    for path in (spec.config, *spec.scales.values()):
        assert (CONFIGS / path).is_file()


def test_the_readme_names_every_file() -> None:
    text = (CONFIGS / "README.md").read_text(encoding="utf-8")
    for path in (*SUITES, *(CONFIGS / "scales").glob("*"), *(CONFIGS / "sweeps").glob("*")):
        assert str(path.relative_to(CONFIGS)) in text


@pytest.mark.parametrize(
    "name", ["deploy/compose.yaml", "deploy/kuberay.yaml", ".pre-commit-config.yaml"]
)
def test_yaml_files_parse(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_deployments_publish_nothing_beyond_loopback() -> None:
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    kuberay = yaml.safe_load((ROOT / "deploy/kuberay.yaml").read_text(encoding="utf-8"))["spec"]
    assert kuberay["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert kuberay["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"
    assert kuberay["authOptions"] == {"mode": "token"}
    kinds = {group["labels"]["ntlbg.io/gpu-product"] for group in kuberay["workerGroupSpecs"]}
    assert kinds == {"V100-32GB", "A100-40GB", "A100-80GB"}
