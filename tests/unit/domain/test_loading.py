"""Files are read strictly: every fault is one line with file, path and the nearest choice."""

import os
from pathlib import Path
from typing import Any

import pytest

from ntlbg_model.config import Config, DataConfig, DatasetConfig
from ntlbg_service.config_files import json_files
from ntlbg_service.config_files import loader as loading
from ntlbg_service.config_files import missing_data as data_presence
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.expansion import expand
from ntlbg_service.submission import fingerprints
from tests.support.kinds import ADA, GROUP, write


def error(function: Any, *arguments: Any) -> str:
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


SUITE = {
    "name": "s",
    "config": "base.json",
    "scales": {"laptop": "laptop.json"},
    "groups": {
        "g": {"baseline": "a", "variants": [{"name": "a"}]},
    },
}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    write(tmp_path / "base.json", {"name": "b", "video": {"max_frames": 2048}})
    write(tmp_path / "laptop.json", {"seeds": [9], "overrides": {"video.max_frames": 512}})
    return write(tmp_path / "suite.json", SUITE)


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "quickstart.json", {})
    assert error(json_files.read_json, tmp_path / "quickstrat.json") == (
        f"{tmp_path}/quickstrat.json: no such file; did you mean {tmp_path}/quickstart.json?"
    )
    assert error(json_files.read_json, tmp_path / "zzz.json") == (
        f"{tmp_path}/zzz.json: no such file; {tmp_path} holds quickstart.json"
    )
    assert error(json_files.read_json, tmp_path / "no" / "a.json") == (
        f"{tmp_path}/no/a.json: no such file; there is no folder {tmp_path}/no"
    )
    (tmp_path / "empty").mkdir()
    assert error(json_files.read_json, tmp_path / "empty" / "a.json").endswith(
        "a.json: no such file"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "b" 2}', ":2:6: not JSON: Expecting ':' delimiter"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', ": key 'c' stands twice in one object"),
        ("[1]", ": must be a JSON object, got list"),
        ('{"a": NaN}', ": NaN is no JSON number"),
        ('{"a": -Infinity}', ": -Infinity is no JSON number"),
    ],
)
def test_what_is_not_strict_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "a.json", text)
    assert error(json_files.read_json, path) == f"{path}{message}"


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    assert error(json_files.read_json, tmp_path).startswith(f"{tmp_path}: cannot be read: ")
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    assert "cannot be read" in error(json_files.read_json, tmp_path / "latin.json")


def test_a_suite_is_loaded_with_its_files(suite: Path) -> None:
    files = loading.load_suite(suite)
    assert (files.key, files.seeds) == ("s", (1, 2, 3))
    assert expand(files)[0].config.video.max_frames == 2048
    scaled = loading.load_suite(suite, "laptop")
    assert (scaled.key, scaled.seeds) == ("s@laptop", (9,))
    assert expand(scaled)[0].config.video.max_frames == 512


def test_a_suite_may_have_a_scale_of_its_own(suite: Path) -> None:
    write(suite, SUITE | {"scale": "laptop"})
    assert loading.load_suite(suite).key == loading.load_suite(suite, "laptop").key == "s@laptop"


def test_an_unknown_scale_is_named(suite: Path) -> None:
    assert error(loading.load_suite, suite, "lap") == (
        f"{suite}: scales: unknown scale 'lap'; valid: laptop"
    )
    write(suite, SUITE | {"scales": {}})
    assert error(loading.load_suite, suite, "lap").endswith("valid: none")


def test_a_missing_base_config_is_named_with_the_suite(suite: Path) -> None:
    write(suite, SUITE | {"config": "bas.json"})
    folder = suite.parent
    assert error(loading.load_suite, suite) == (
        f"{suite}: config: no such file {folder}/bas.json; did you mean {folder}/base.json?"
    )


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"vidoe": {}}, ": vidoe: unknown key; did you mean 'video'?"),
        ({"categories": []}, ": categories: must be an object"),
        ({"categories": {"long": 3}}, ": categories.long: must be an object, got int"),
        (
            {"categories": {"long": {"description": "", "override": {}}}},
            ": categories.long: override: unknown key; did you mean 'overrides'?",
        ),
        (
            {"categories": {"long": {"description": "", "overrides": {"video.maxframes": 1}}}},
            " categories.long: video.maxframes: unknown key; did you mean 'video.max_frames'?",
        ),
    ],
)
def test_a_wrong_main_config_is_one_line(tmp_path: Path, base: Any, message: str) -> None:
    path = write(tmp_path / "base.json", base)
    assert error(loading.load_main, path) == f"{path}{message}"


def test_a_sweep_and_an_inventory_are_loaded(tmp_path: Path) -> None:
    sweep = write(
        tmp_path / "w.json",
        {"name": "w", "suite": "s.json", "variant": "a", "space": {"x": {"values": [1]}}},
    )
    assert loading.load_sweep(sweep).variant == "a"
    inventory = write(
        tmp_path / "i.json", {"name": "i", "groups": [{"profile": "A100-40GB", "gpus": 8}]}
    )
    assert loading.load_inventory(inventory).capacity() == {"A100-40GB": 8}
    assert loading.load_inventory(inventory).name == str(inventory)
    write(inventory, {"name": "i", "groups": [{"profile": "A100-40", "gpus": 8}]})
    assert error(loading.load_inventory, inventory) == (
        f"{inventory}: groups.0.profile: unknown GPU kind 'A100-40'; did you mean 'A100-40GB'?"
    )


def test_an_inventory_may_bring_kinds_of_gpu_with_it(tmp_path: Path) -> None:
    kind = write(tmp_path / "ada.json", ADA)
    named = write(tmp_path / "i.json", {"name": "i", "groups": [GROUP], "profiles": ["ada.json"]})
    placed = write(tmp_path / "k.json", {"name": "k", "groups": [GROUP], "kinds": [ADA]})
    for path in (named, placed):
        found = loading.load_inventory(path, loading.load_kinds({loading.KINDS: str(kind)}))
        assert found == loading.load_inventory(path)
        assert found.capacity() == {"RTX6000-48GB": 2}
        assert found.profile_of(found.groups[0]) == loading.load_kind(kind)
    without = write(tmp_path / "w.json", {"name": "w", "groups": [GROUP]})
    assert "groups.0.profile: unknown GPU kind 'RTX6000-48GB'" in error(
        loading.load_inventory, without
    )


def test_the_environment_names_kinds_that_a_config_may_ask_for(tmp_path: Path) -> None:
    first = write(tmp_path / "a.json", ADA)
    second = write(tmp_path / "b.json", {**ADA, "name": "other-48GB", "products": []})
    kinds = loading.load_kinds({loading.KINDS: f"{first}{os.pathsep}{second}"})
    assert [kind.name for kind in kinds] == ["RTX6000-48GB", "other-48GB"]
    assert loading.load_kinds({}) == ()
    base = write(tmp_path / "base.json", {"hardware": {"profile": "other-48GB"}})
    assert loading.load_main(base, kinds)[0]["hardware"] == {"profile": "other-48GB"}
    assert "hardware.profile: unknown GPU kind 'other-48GB'" in error(loading.load_main, base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"usable": 3}, "usable: unknown key; did you mean 'usable_gib'?"),
        ({"usable_gib": -1}, "usable_gib must be above 0"),
        ({"capability": None}, "capability must be the two numbers of a GPU"),
        ({"tensor_cores": ["bf17"]}, "tensor_cores.0: 'bf17' is not a choice; did you mean 'bf16'"),
        ({"rates": {**ADA["rates"], "link_gb": 1}}, "rates.link_gb: unknown key; did you mean"),
        ({"rates": {**ADA["rates"], "half_tflops": 0}}, "rates.half_tflops must be above 0"),
        ({"name": "L4-24GB"}, "name: 'L4-24GB' is a known GPU kind"),
    ],
)
def test_a_wrong_kind_is_one_line_that_names_its_file(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    kind = write(tmp_path / "ada.json", {**ADA, **change})
    said = error(loading.load_kinds, {loading.KINDS: str(kind)})
    assert said.startswith(f"{kind}: ")
    assert message in said.replace(": must", " must")


def test_a_file_of_a_kind_that_is_not_there_is_named_with_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    write(tmp_path / "ada.json", ADA)
    inventory = write(
        tmp_path / "i.json", {"name": "i", "groups": [GROUP], "profiles": ["adda.json"]}
    )
    said = error(loading.load_inventory, inventory)
    assert said.startswith(f"{inventory}: profiles.0: no such file {tmp_path}/adda.json")
    assert "did you mean" in said
    missing = error(loading.load_kinds, {loading.KINDS: str(tmp_path / "adda.json")})
    assert missing.startswith("NTLBG_PROFILES: no such file ")


def a_data_set(folder: Path, video: bytes = b"mp4") -> Path:
    row = {
        "id": "v_0",
        "video_id": "v",
        "video_path": "v.mp4",
        "question": "What?",
        "candidates": ["a", "b"],
        "correct_choice": 0,
        "question_category": "T",
        "position": [1],
        "duration": 1.0,
        "duration_group": 15,
    }
    write(folder / "lvb_val.json", [row])
    (folder / "videos").mkdir()
    (folder / "videos" / "v.mp4").write_bytes(video)
    return folder


def a_config(train: str, evaluation: str) -> Config:
    return Config(
        data=DataConfig(
            train=(DatasetConfig(name="t", path=train),),
            evaluation=(DatasetConfig(name="e", path=evaluation),),
        )
    )


def test_a_missing_data_set_is_named_with_the_nearest(tmp_path: Path) -> None:
    a_data_set(tmp_path / "needles" / "train")
    data_presence.check_data(a_config("needles/train", "needles/train"), tmp_path, "s.json: g/a")
    assert error(
        data_presence.check_data,
        a_config("needles/train", "needles/trian"),
        tmp_path,
        "s.json: g/a",
    ) == (
        f"s.json: g/a: data.evaluation.0.path: no data set at {tmp_path}/needles/trian; "
        "did you mean 'train'?"
    )
    assert "'ntlbg data needles' renders the demo's" in error(
        data_presence.check_data, a_config("elsewhere/x", "x"), tmp_path, "s.json: g/a"
    )


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = a_data_set(tmp_path / "set")
    data_presence.check_data(a_config(str(folder), str(folder)), tmp_path / "root", "s")


def test_the_identity_of_data_follows_what_is_there(tmp_path: Path) -> None:
    a_data_set(tmp_path / "a")
    a_data_set(tmp_path / "b", b"another video")
    identities = fingerprints.DataIdentities(tmp_path)
    first = identities.of(a_config("a", "b"))
    assert first == identities.of(a_config("a", "b"))
    assert first == fingerprints.DataIdentities(tmp_path).of(a_config("a", "b"))
    assert first != identities.of(a_config("b", "a"))
    assert first != identities.of(a_config("a", "a"))


def test_the_version_of_the_code_is_short_and_stable() -> None:
    assert len(fingerprints.code_version()) == 12
    assert fingerprints.code_version() == fingerprints.code_version()
