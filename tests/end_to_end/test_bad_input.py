"""Bad input: one line, exit code 2, nothing written."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import Cli, write_suite


def refused(cli: Cli, *arguments: str | Path) -> str:
    done = cli(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stdout
    assert not (cli.home / "ledger.db").exists()
    return line


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"trainig.max_steps": 3}, "did you mean 'training"),
        ({"training.max_step": 3}, "did you mean 'training.max_steps'?"),
        ({"training.max_steps": "three"}, "training.max_steps: must be a valid integer"),
        ({"selection.method": "ntlgb"}, "did you mean 'ntlbg'?"),
        ({"video.coverage_ratio": 3.0}, "video.coverage_ratio: must be between 0 and 1"),
        ({"data.train": [{"name": "x", "path": "needles/trian"}]}, "did you mean 'train'?"),
    ],
)
def test_options(cli: Cli, tmp_path: Path, overrides: dict[str, object], said: str) -> None:
    suite = write_suite(tmp_path)
    content = json.loads(suite.read_text())
    content["groups"]["selection"]["variants"][0]["overrides"] |= overrides
    suite.write_text(json.dumps(content))
    line = refused(cli, "run", suite)
    assert said in line and "suite.json" in line


def test_unknown_variant(cli: Cli, suite: Path) -> None:
    assert "did you mean 'uniform'?" in refused(cli, "run", suite, "--variant", "unifrm")


def test_missing_data_root(cli: Cli, suite: Path, tmp_path: Path) -> None:
    line = refused(cli, "run", suite, "--data-root", tmp_path / "nowhere")
    assert "data.train.0.path: no data set at" in line


def test_missing_suite(cli: Cli) -> None:
    assert "did you mean configs/quickstart.json?" in refused(cli, "run", "configs/quickstat.json")


def test_not_built_is_refused_by_name(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, **{"model.quantisation": "nf4"})
    assert "not built yet: model.quantisation = 'nf4'" in refused(cli, "run", suite)


def test_options_of_the_command_itself(cli: Cli, suite: Path) -> None:
    done = cli("run", suite, "--parralel", "2")
    assert done.returncode == 2
    assert "--parallel" in done.stderr
