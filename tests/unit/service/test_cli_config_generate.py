"""`ntlbg config generate`: files that validate and plan, wherever they are written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ntlbg_service.cli.config import command
from ntlbg_service.cli.config.writing import WIDTH, to_text
from ntlbg_service.config_files.loader import load_inventory, load_main, load_suite
from ntlbg_service.domain.errors import CapacityError, UserError
from ntlbg_service.domain.expansion import expand
from ntlbg_service.domain.planning.plan import plan

CONFIGS = Path(__file__).parents[3] / "configs"
SUITES = [CONFIGS / "quickstart.json", *sorted((CONFIGS / "experiments").glob("*.json"))]


def generated(*arguments: object) -> Result:
    return CliRunner().invoke(command, ["generate", *map(str, arguments)])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are given in a folder without configs."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("category", ["moderate_long", "long", "very_long"])
def test_a_main_config_is_whole_and_carries_a_suite(category: str, tmp_path: Path) -> None:
    found = generated("--category", category, "--gpu", "A100_80GB", "--output", "a/mine.json")
    assert found.exit_code == 0, found.output
    sections, categories = load_main(tmp_path / "a" / "mine.json")
    assert list(categories) == [category]
    assert sections["hardware"]["profile"] == "A100-80GB"
    assert sections["training"]["precision"] == "bf16"
    values = json.loads((tmp_path / "a" / "mine.json").read_text())
    assert values["name"] == "mine" and "Fitted to A100-80GB" in values["description"]
    suite = ("--experiment", "ablation_studies", "--category", category)
    found = generated(*suite, "--config", "a/mine.json", "--output", "b/suite.json")
    assert found.exit_code == 0, found.output
    files = load_suite(Path("b/suite.json"))
    rows = expand(files, ["ntlbg_constraint"])
    assert {row.config.hardware.profile for row in rows} == {"A100-80GB"}
    made = plan(rows, files.seeds, load_inventory(CONFIGS / "inventories" / "lab.json"))
    assert len(made.intervals) == 9


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_a_suite_means_the_same_under_its_own_name(suite: Path, tmp_path: Path) -> None:
    found = generated("--experiment", suite.stem, "--output", "deep/down/mine.json")
    assert found.exit_code == 0, found.output
    written = tmp_path / "deep" / "down" / "mine.json"
    copy, original = load_suite(written), load_suite(suite)
    assert copy.suite.name == "mine"
    assert [row.config for row in expand(copy)] == [row.config for row in expand(original)]
    for scale in original.suite.scales:
        assert expand(load_suite(written, scale))


def test_a_suite_can_be_held_to_one_kind() -> None:
    found = generated(
        "--experiment", "ablation_studies", "--gpu", "V100_32GB", "--output", "s.json"
    )
    assert found.exit_code == 0, found.output
    rows = expand(load_suite(Path("s.json")))
    assert {row.config.hardware.profile for row in rows} == {"V100-32GB"}


def test_without_an_output_it_is_printed() -> None:
    found = generated("--category", "long")
    assert json.loads(found.output)["name"] == "long"
    assert json.loads(generated("--experiment", "ablation_studies").output)["groups"]


def test_wrong_asking_is_one_line() -> None:
    for arguments, said in (
        ((), "needs --category NAME or --experiment NAME"),
        (("--category", "lang"), "did you mean 'long'?"),
        (("--experiment", "ablation"), "did you mean 'ablation_studies'?"),
        (("--experiment", "ablation_studies", "--category", "lang"), "did you mean 'long'?"),
        (("--category", "long", "--gpu", "V101"), "unknown GPU kind 'V101'"),
    ):
        found = generated(*arguments)
        assert isinstance(found.exception, UserError), found.output
        assert said in str(found.exception)


def test_an_output_that_cannot_be_is_said() -> None:
    Path("folder").mkdir()
    for output, said in (("folder", "is a folder"), ("/proc/no/x.json", "cannot be written")):
        found = generated("--category", "long", "--output", output)
        assert isinstance(found.exception, UserError), found.output
        assert said in str(found.exception)


def test_what_fits_nowhere_is_not_written() -> None:
    found = generated("--category", "very_long", "--gpu", "V100_16GB", "--output", "no.json")
    assert isinstance(found.exception, CapacityError)
    assert not Path("no.json").exists()


def test_text_is_the_same_json_in_lines_that_can_be_read() -> None:
    values = json.loads((CONFIGS / "longvideo_config.json").read_text())
    text = to_text(values)
    assert json.loads(text) == values
    strings = [line for line in text.splitlines() if len(line) > WIDTH]
    assert all('"description"' in line for line in strings)
