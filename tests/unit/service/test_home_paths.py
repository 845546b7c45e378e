"""A home is a path, whatever it is called; and a crash is kept in it."""

import json
import shutil
from pathlib import Path

import pytest

from ntlbg_service.cli import status
from tests.support.accounts import Said, say
from tests.support.builders import SUITE, Service, new_run
from tests.support.small_suites import LAB, a_suite

NAMES = ("que?ry=1&b", "per%20cent%", "a#b;c:d", "plus+ é '\"\\`$x", "-dash", "~", "file:x")


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's nodes, in a file of the folder that commands run in."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    a_suite(tmp_path, "start", {"video.max_frames": 16})
    row = {"profile": LAB.groups[0].profile, "gpus": 8, "cores": 96, "host_memory_gib": 768}
    file = tmp_path / "nodes.json"
    file.write_text(json.dumps({"name": "lab", "groups": [row]}))
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_home_may_be_called_anything(nodes: Path, name: str) -> None:
    """Relative, and with a slash at its end. Nothing else is made in the folder."""
    home = ("--home", f"{name}/")
    done = [
        say("submit", nodes.parent / "suite.json", *home, "--inventory", nodes),
        say("status", "--json", *home),
        say("db", "backup", "copy.jsonl", *home),
        say("db", "check", *home),
    ]
    assert [said.code for said in done] == [0] * len(done), done
    (run,) = json.loads(done[1].out)
    assert run["state"] == "queued"
    assert sorted(path.name for path in Path().iterdir()) == sorted([name, "copy.jsonl"])
    assert (Path(name) / "ledger.db").is_file()


def test_a_ledger_may_be_called_anything_by_its_url(nodes: Path) -> None:
    """By a URL a name is quoted; without a home's own ledger the runs are in that one."""
    words = ("--home", "home", "--ledger", "sqlite:///per%2520cent%3F.db")
    said = say("submit", nodes.parent / "suite.json", *words, "--inventory", nodes)
    assert said.code == 0, said
    assert "queued" in say("status", *words).out
    assert Path("per%20cent?.db").is_file() and not Path("home/ledger.db").exists()


@pytest.mark.parametrize("name", NAMES)
def test_runs_live_in_a_home_of_any_name(tmp_path: Path, name: str) -> None:
    service = Service(tmp_path / name)
    service.ledger.submit(SUITE, [new_run()])
    service.run_all()
    service.ledger.close()
    assert "1 finished" in say("status", "--home", tmp_path / name).out
    assert [path.name for path in tmp_path.iterdir()] == [name]


def crash(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> Said:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(status, "existing_ledger", fault)
    return say(*words)


def test_a_crash_is_kept_in_the_home_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Service(tmp_path / "home").ledger.close()
    said = crash(monkeypatch, "status", "--home", "home")
    kept = tmp_path / "home/crash.log"
    assert said.code == 1
    assert said.err == "ntlbg: internal error: RuntimeError: a fault of ours (home/crash.log)\n"
    assert "RuntimeError: a fault of ours" in kept.read_text() and not kept.stat().st_mode & 0o007
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_crash_of_a_home_that_cannot_be_written_is_kept_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Service(tmp_path / "home").ledger.close()
    (tmp_path / "home/crash.log").mkdir()
    said = crash(monkeypatch, "status", "--home", tmp_path / "home")
    shown = said.err.partition("(")[2]
    kept = Path(shown.partition(",")[0])
    assert said.code == 1 and said.err.count("\n") == 1
    assert shown.endswith(f", since {tmp_path / 'home'}: Is a directory)\n")
    assert "RuntimeError: a fault of ours" in kept.read_text()
    shutil.rmtree(kept.parent)
