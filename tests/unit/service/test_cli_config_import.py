"""`ntlbg config import`: what a person brings becomes files that validate and plan."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ntlbg_service.cli import cli
from ntlbg_service.domain.errors import UserError

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "published"
EXPERIMENTS = (
    "ablation_studies",
    "sota_comparison",
    "efficiency_analysis",
    "theoretical_validation",
)


def ntlbg(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def done(*arguments: object) -> str:
    result = ntlbg(*arguments)
    assert result.exit_code == 0, result.exception or result.output
    return result.output


def refused(*arguments: object) -> str:
    result = ntlbg(*arguments)
    assert isinstance(result.exception, UserError), result.output
    assert result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """The files as a person has them."""
    return Path(shutil.copytree(DATA, tmp_path / "brought"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_imported_suite_validates_and_plans(name: str, brought: Path, tmp_path: Path) -> None:
    output = tmp_path / "imported"
    said = done("config", "import", brought / f"{name}.json", "--output", output)
    suite = output / f"{name}.json"
    assert f"wrote {suite}" in said
    assert f"wrote {output / 'longvideo_config.json'}" in said
    checked = done("config", "validate", suite, output / "longvideo_config.json")
    assert "scales longvideobench" in checked
    assert "categories moderate_long, long, very_long" in checked
    inventory = ROOT / "configs" / "inventories" / "lab.json"
    planned = done(
        *("plan", suite, "--no-trace", "--inventory", inventory, "--home", tmp_path / "home")
    )
    assert " runs (seeds " in planned
    assert "not built yet" not in planned


def test_all_five_files_go_into_one_folder_in_any_order(brought: Path, tmp_path: Path) -> None:
    output = tmp_path / "imported"
    for name in (*EXPERIMENTS, "longvideo_config"):
        done("config", "import", brought / f"{name}.json", "--output", output)
    again = done("config", "import", brought / "ablation_studies.json", "--output", output)
    assert "imported before, to" in again
    suites = [output / f"{name}.json" for name in EXPERIMENTS]
    assert done("config", "validate", *suites).count("suite of") == 4


def test_a_base_config_that_is_not_there_means_the_main_config(
    brought: Path, tmp_path: Path
) -> None:
    said = done("config", "import", brought / "ablation_studies.json", "--output", tmp_path / "out")
    missing = brought / "configs" / "longvideo_config.json"
    main = brought / "longvideo_config.json"
    assert f"base_config: {missing} is not there: the main config is {main}" in said


def test_a_main_config_of_this_project_is_built_on_where_it_is(
    brought: Path, tmp_path: Path
) -> None:
    main = ROOT / "configs" / "longvideo_config.json"
    target = tmp_path / "mine.json"
    done(
        *("config", "import", brought / "ablation_studies.json"),
        *("--output", target, "--config", main),
    )
    named = json.loads(target.read_text(encoding="utf-8"))["config"]
    assert (tmp_path / named).resolve() == main
    assert not (tmp_path / "longvideo_config.json").exists()
    assert "suite of 13 variants" in done("config", "validate", target)


def test_descriptions_stay_readable(brought: Path, tmp_path: Path) -> None:
    target = tmp_path / "main.json"
    done("config", "import", brought / "longvideo_config.json", "--output", target)
    assert "用于测试的缩小版主配置" in target.read_text(encoding="utf-8")


def test_an_existing_file_is_replaced_only_by_force(brought: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    ask = ("config", "import", brought / "ablation_studies.json", "--output", output)
    done(*ask)
    changed = output / "longvideo_config.json"
    text = changed.read_text(encoding="utf-8")
    changed.write_text("{}", encoding="utf-8")
    (output / "ablation_studies.json").unlink()
    assert "exists with other content; --force replaces it" in refused(*ask)
    assert changed.read_text(encoding="utf-8") == "{}"
    assert not (output / "ablation_studies.json").exists(), "all files are written or none"
    done(*ask, "--force")
    assert changed.read_text(encoding="utf-8") == text


def test_the_files_that_are_read_are_never_replaced(brought: Path) -> None:
    before = {path: path.read_bytes() for path in brought.iterdir()}
    main, suite = brought / "longvideo_config.json", brought / "ablation_studies.json"
    for file, output in ((main, brought), (suite, brought), (suite, brought / "new.json")):
        ask = ("config", "import", file, "--output", output, "--force")
        assert "to import; name another" in refused(*ask)
    assert {path: path.read_bytes() for path in brought.iterdir()} == before


@pytest.mark.parametrize("name", ["longvideo_config", "sota_comparison"])
@pytest.mark.parametrize(
    "command", [("run",), ("plan",), ("config", "show"), ("config", "validate")]
)
def test_other_commands_name_the_import(name: str, command: tuple[str, ...]) -> None:
    file = DATA / f"{name}.json"
    assert f"'ntlbg config import {file}'" in refused(*command, file)


def test_what_cannot_be_imported_is_one_line(brought: Path, tmp_path: Path) -> None:
    own = ROOT / "configs" / "quickstart.json"
    assert "nothing to import" in refused("config", "import", own)
    assert "no such file" in refused("config", "import", brought / "nowhere.json")
    suite = brought / "ablation_studies.json"
    other = brought / "sota_comparison.json"
    assert "is no main config" in refused("config", "import", suite, "--config", other)
    main = brought / "longvideo_config.json"
    assert "is a main config itself" in refused("config", "import", main, "--config", main)
    (tmp_path / "taken").write_text("", encoding="utf-8")
    place = tmp_path / "taken" / "out"
    assert "cannot be written" in refused("config", "import", main, "--output", place)
    suite.write_text(suite.read_text(encoding="utf-8").replace("消融小样", "\\ud800"), "utf-8")
    assert "half of a surrogate pair" in refused("config", "import", suite)
    suite.write_text("[" * 100_000, encoding="utf-8")
    assert "nested too deeply" in refused("config", "import", suite)


def test_the_guide_shows_what_is_said(brought: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs" / "guides" / "published_files.md").read_text(encoding="utf-8")
    monkeypatch.chdir(brought)
    refusal, *blocks = re.findall(r"```console\n\$ ntlbg (.*?)\n(.*?)```", guide, flags=re.DOTALL)
    assert refusal[1] == f"ntlbg: {refused(*refusal[0].split())}\n"
    assert len(blocks) == 3
    for command, output in blocks:
        assert done(*command.split()) == output
