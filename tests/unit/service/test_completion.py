"""Words that the shell goes on with: from ledger and suite, quickly, quietly, making nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ntlbg_service import cli
from ntlbg_service.cli import COMPLETE
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run, open_test_ledger
from tests.support.patience import PATIENCE

REPOSITORY = Path(__file__).parents[3]
SUITE_FILE = {
    "scales": {"laptop": "x.json"},
    "groups": {
        "selection": {"variants": [{"name": "uniform"}, {"name": "ntlbg"}]},
        "reducers": {"variants": [{"name": "pool"}]},
    },
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run("uniform"), new_run("ntlbg")])
    first = service.ledger.queued()[0]
    start_attempt(service.ledger, first, first.fits[0], None, "simulated", "", ("lab-1", "lab-2"))
    service.ledger.drain("lab-2", "ada")
    service.ledger.close()
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def completed(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What the shell is offered after this line."""
    words = line.split(" ")
    monkeypatch.setenv(COMPLETE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr()
    assert said.err == ""
    return [row.partition(",")[2] for row in said.out.splitlines() if row]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ntlbg explain g/n", ["g/ntlbg:1"]),
        ("ntlbg cancel s", ["s"]),
        ("ntlbg watch ", ["s"]),
        ("ntlbg cluster drain lab", ["lab-1", "lab-2"]),
        ("ntlbg cluster undrain ", ["lab-2"]),
        ("ntlbg compl", ["completion"]),
        ("ntlbg completion z", ["zsh"]),
        ("ntlbg status --state qu", ["queued"]),
    ],
)
def test_names_come_from_the_ledger(
    home: Path,
    line: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert completed(line, monkeypatch, capsys) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ntlbg plan SUITE --group se", ["selection"]),
        ("ntlbg plan SUITE --variant ", ["uniform", "ntlbg", "pool"]),
        ("ntlbg plan SUITE --group reducers --variant ", ["pool"]),
        ("ntlbg run SUITE --scale ", ["laptop"]),
        ("ntlbg config optimize x --gpu V100-3", ["V100-32GB"]),
        ("ntlbg run --scale ", []),
    ],
)
def test_names_come_from_the_suite_and_the_profiles(
    tmp_path: Path,
    line: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "suite.json"
    file.write_text(json.dumps(SUITE_FILE))
    assert completed(line.replace("SUITE", str(file)), monkeypatch, capsys) == words


@pytest.mark.parametrize("line", ["ntlbg explain ", "ntlbg run nowhere.json --group "])
def test_where_nothing_is_nothing_is_said_or_made(
    tmp_path: Path,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "home"))
    assert completed(line, monkeypatch, capsys) == []
    assert not (tmp_path / "home").exists()


def test_a_broken_ledger_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ledger.db").write_text("no database" * 100)
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path))
    assert completed("ntlbg explain ", monkeypatch, capsys) == []
    monkeypatch.setenv("NTLBG_LEDGER", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    assert completed("ntlbg explain ", monkeypatch, capsys) == []
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


def test_names_come_from_a_ledger_on_a_server(
    ledger_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger = open_test_ledger(ledger_url)
    ledger.submit(SUITE, [new_run("ntlbg")])
    run = ledger.queued()[0]
    start_attempt(ledger, run, run.fits[0], None, "simulated", "", ("lab-1",))
    ledger.close()
    monkeypatch.setenv("NTLBG_LEDGER", ledger_url)
    assert completed("ntlbg explain g/", monkeypatch, capsys) == ["g/ntlbg:1"]
    assert completed("ntlbg cluster drain ", monkeypatch, capsys) == ["lab-1"]


def test_what_the_shell_does_not_understand_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPLETE, "of another age")
    monkeypatch.setattr(sys, "argv", ["ntlbg", "controller"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1


@pytest.mark.parametrize(("shell", "says"), [("zsh", "#compdef ntlbg"), ("fish", "complete")])
def test_each_shell_has_its_script(
    shell: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ntlbg", "completion", shell])
    cli.main()
    script = capsys.readouterr().out
    assert says in script and f"{COMPLETE}={shell}_complete" in script


PRESSED = """
source "$1"
COMP_WORDBREAKS=$' \\t\\n"'"'"'><=;|&(:'
COMP_LINE="$2" COMP_POINT=${#2}
_ntlbg_completion ntlbg
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("ntlbg explain g/n", ["g/ntlbg:1"]),
        ("ntlbg explain g/ntlbg:", ["1"]),
        ("ntlbg explain g/uniform", ["g/uniform:1"]),
    ],
)
def test_bash_completes_names_with_a_colon(
    home: Path, tmp_path: Path, line: str, replies: list[str]
) -> None:
    """In a real bash, which breaks words at colons and wants only what comes after."""
    command = tmp_path / "bin/ntlbg"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ntlbg_service "$@"\n')
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
    }
    script = tmp_path / "completion.bash"
    printed = subprocess.run(
        ["ntlbg", "completion", "bash"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    script.write_text(printed.stdout)
    done = subprocess.run(
        ["bash", "-c", PRESSED, "bash", str(script), line],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines() == replies, done.stderr
    assert done.stderr == ""
