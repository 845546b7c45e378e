"""`ntlbg config diff` and `show`: how a config is named, and what is said of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ntlbg_service.cli.config import command
from ntlbg_service.domain.errors import UserError

CONFIGS = Path(__file__).parents[3] / "configs"
MAIN = CONFIGS / "longvideo_config.json"
ABLATION = CONFIGS / "experiments" / "ablation_studies.json"


def called(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    found = called(*arguments)
    assert isinstance(found.exception, UserError), found.output
    return str(found.exception)


def test_two_categories_differ_in_what_their_overrides_say() -> None:
    found = called("diff", f"{MAIN}:moderate_long", ":very_long", "--json")
    assert found.exit_code == 0, found.output
    changes = {change["option"]: change for change in json.loads(found.output)["changes"]}
    assert set(changes) == {
        "video.max_frames",
        "video.num_representatives",
        "training.global_batch",
    }
    frames = changes["video.max_frames"]
    assert frames["a"] == {"value": 2048, "source": f"{MAIN} categories.moderate_long"}
    assert frames["b"] == {"value": 8192, "source": f"{MAIN} categories.very_long"}


def test_variants_are_compared_at_their_scales() -> None:
    found = called("diff", f"{ABLATION}:soft_ntlbg", ":ntlbg_constraint/soft_ntlbg@laptop")
    assert found.exit_code == 0, found.output
    assert "training.max_steps" in found.output
    assert "selection.constraint_type" not in found.output


def test_the_same_twice_is_said() -> None:
    found = called("diff", MAIN, MAIN)
    assert found.exit_code == 0
    assert found.output.endswith("no option differs\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{MAIN}:moderate_lang", "did you mean 'moderate_long'?"),
        (f"{MAIN}@laptop", "is no suite"),
        (f"{ABLATION}:soft_ntlgb", "did you mean 'soft_ntlbg'?"),
        (f"{ABLATION}:soft_ntlbg@lap", "unknown scale 'lap'; valid: laptop, longvideobench"),
        (str(CONFIGS / "longvideo.json"), "did you mean"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, said: str) -> None:
    assert said in refusal("diff", MAIN, name)


def test_a_side_without_a_file_needs_one_before_it() -> None:
    assert "must begin with a file" in refusal("diff", ":long", MAIN)


def test_show_takes_the_same_names_and_options() -> None:
    named = called("show", f"{ABLATION}:soft_ntlbg@laptop")
    optioned = called("show", ABLATION, "--variant", "soft_ntlbg", "--scale", "laptop")
    assert named.exit_code == 0, named.output
    assert named.output == optioned.output
    assert "--variant does not apply" in refusal("show", MAIN, "--variant", "soft_ntlbg")


def test_show_says_what_the_command_line_set() -> None:
    found = called("show", f"{ABLATION}:soft_ntlbg", "--set", "training.max_steps=2000")
    (line,) = [line for line in found.output.splitlines() if "training.max_steps" in line]
    assert line.split() == ["training.max_steps", "2000", "--set"]
