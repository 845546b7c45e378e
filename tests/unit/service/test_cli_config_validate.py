"""`ntlbg config validate`: what a file is, where it fits, what is not there."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ntlbg_service.cli.config import command
from ntlbg_service.domain.errors import CapacityError, UserError

CONFIGS = Path(__file__).parents[3] / "configs"
MAIN = CONFIGS / "longvideo_config.json"
SHIPPED = sorted(CONFIGS.rglob("*.json"))


def validated(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["validate", *map(str, arguments)])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own.json"


def write(file: Path, **sections: Any) -> None:
    file.write_text(json.dumps(sections))


def data_set(root: Path, *videos: str, there: int) -> None:
    """A data set of one question a video, of which the first `there` videos exist."""
    (root / "set" / "videos").mkdir(parents=True)
    rows = [
        {
            "id": video,
            "video_id": video,
            "video_path": video,
            "question": "what?",
            "candidates": ["this", "that"],
            "correct_choice": 0,
            "question_category": "any",
        }
        for video in videos
    ]
    (root / "set" / "lvb_val.json").write_text(json.dumps(rows))
    for video in videos[:there]:
        (root / "set" / "videos" / video).touch()


DATA = {"evaluation": [{"name": "set", "path": "set"}]}


def test_every_shipped_file_is_valid_and_missing_data_is_a_warning(tmp_path: Path) -> None:
    found = validated(*SHIPPED, "--data-root", tmp_path / "nowhere")
    assert found.exit_code == 0, found.output
    for file in SHIPPED:
        assert f"{file}: " in found.output
    assert f"not below {tmp_path / 'nowhere'}: longvideobench/train" in found.output


def test_strict_makes_missing_data_an_error(tmp_path: Path) -> None:
    found = validated(MAIN, "--strict", "--data-root", tmp_path)
    assert isinstance(found.exception, UserError)
    assert f"{MAIN}: not below {tmp_path}" in str(found.exception)


def test_memory_is_told_by_kind() -> None:
    found = validated(MAIN, "--gpu", "A100_80GB", "--gpu", "V100-16GB")
    assert "A100-80GB: all 3 fit" in found.output
    (small,) = [line for line in found.output.splitlines() if "V100-16GB:" in line]
    assert small.endswith("not very_long")
    lab = validated(MAIN, "--inventory", CONFIGS / "inventories" / "lab.json")
    assert "A100-80GB: all 3 fit" in lab.output and "H200" not in lab.output


def test_what_fits_nowhere_says_why_and_is_capacity_when_strict(own: Path) -> None:
    write(own, video={"max_frames": 8192, "num_representatives": 1024})
    found = validated(own, "--gpu", "V100_16GB")
    assert found.exit_code == 0
    assert "the limit is 15.3 GiB" in found.output
    strict = validated(own, "--gpu", "V100_16GB", "--strict")
    assert isinstance(strict.exception, CapacityError)


def test_a_config_that_names_its_kind_is_judged_there_alone(own: Path) -> None:
    write(own, hardware={"profile": "A100_40GB"})
    found = validated(own)
    assert "A100-40GB: fits" in found.output and "V100" not in found.output
    elsewhere = validated(own, "--gpu", "V100_32GB")
    assert "the kind it names is not there" in elsewhere.output


def test_hardware_that_is_not_there(own: Path) -> None:
    write(own, hardware={"num_gpus": 16})
    found = validated(own, "--gpu", "A100_40GB")
    assert "hardware.num_gpus 16 is more than a node has (8)" in found.output
    assert isinstance(validated(own, "--gpu", "A100_40GB", "--strict").exception, UserError)
    write(own, hardware={"profile": "A100_41GB"})
    refused = validated(own)
    assert isinstance(refused.exception, UserError)
    assert "hardware.profile: unknown GPU kind 'A100_41GB'; did you mean" in str(refused.exception)


def test_missing_annotations_and_videos_are_named(own: Path, tmp_path: Path) -> None:
    write(own, data=DATA)
    (tmp_path / "set").mkdir()
    found = validated(own, "--data-root", tmp_path)
    assert f"no {tmp_path / 'set' / 'lvb_val.json'}" in found.output
    (tmp_path / "set").rmdir()
    data_set(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4", there=1)
    found = validated(own, "--data-root", tmp_path)
    assert "3 of 4 videos missing: videos/b.mp4, videos/c.mp4 and 1 more" in found.output


def test_data_that_is_there_is_not_mentioned(own: Path, tmp_path: Path) -> None:
    write(own, data=DATA)
    data_set(tmp_path, "a.mp4", there=1)
    found = validated(own, "--data-root", tmp_path, "--strict", "--gpu", "A100_40GB")
    assert found.exit_code == 0, found.output
    assert "data " not in found.output


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("pytorch_model.bin", "", "its weights are in a pickle (pytorch_model.bin)"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"w": "../x.bin"}}',
            "names '../x.bin', which is outside its folder",
        ),
        (
            "config.json",
            '{"quantization_config": {"quant_method": "awq"}}',
            "quantised by 'awq', and 'gptqmodel', which reads them, is not installed",
        ),
    ],
)
def test_a_base_model_that_would_not_be_read_is_one_line(
    own: Path, tmp_path: Path, file: str, content: str, said: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / file).write_text(content)
    write(own, model={"base_model": str(base)})
    found = validated(own)
    assert isinstance(found.exception, UserError)
    assert f"model.base_model: {base}: " in str(found.exception)
    assert said in str(found.exception)
