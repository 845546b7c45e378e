"""Commands that are printed do what they are printed for when they are pasted as they stand."""

import re
import shlex
from pathlib import Path

import click
import pytest

from ntlbg_service.cli import cli
from ntlbg_service.domain.commands import QUOTED
from tests.support.builders import SUITE, Service, new_run
from tests.support.ntlbg_call import Ntlbg

SOURCES = sorted((Path(__file__).parents[3] / "ntlbg_service").rglob("*.py"))


def pasted(said: str, name: str) -> list[str]:
    """The words of the command of a name in what was printed, behind `ntlbg`."""
    for found in QUOTED.finditer(said):
        words = shlex.split(found["plain"] or found["quoting"])[1:]
        if words[0] == name:
            return words
    raise AssertionError(f"no command {name} in: {said}")


def test_each_command_that_a_text_names_is_there_and_takes_its_options() -> None:
    texts = [
        text
        for path in SOURCES
        for text in re.findall(r"['`]ntlbg [a-z][^'`\"]*['`]", path.read_text())
    ]
    assert len(texts) > 25
    for text in texts:
        words = shlex.split(text.strip("'`"))[1:]
        found: click.Command | None = cli
        while isinstance(found, click.Group) and words:
            found = found.get_command(click.Context(found), words.pop(0))
        assert found is not None, text
        options = {option for parameter in found.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, text


@pytest.fixture
def elsewhere(ntlbg: Ntlbg, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home that only the command line names, where nothing in the environment says so."""
    monkeypatch.delenv("NTLBG_HOME")
    monkeypatch.setenv("NTLBG_USER", "ada")
    monkeypatch.chdir(tmp_path)
    return Path("ada's lab")


def test_what_a_queued_run_waits_for_is_said_with_commands_for_its_home(
    ntlbg: Ntlbg, elsewhere: Path
) -> None:
    Service(elsewhere).ledger.submit(SUITE, [new_run("ntlbg")])
    refused = ntlbg("logs", "g/ntlbg:1", "--home", elsewhere)
    explained = ntlbg(*pasted(refused, "explain"))
    assert pasted(explained, "controller") == ["controller", "--home", "ada's lab"]
    ntlbg("pause", "g/ntlbg:1", "--home", elsewhere)
    ntlbg(*pasted(ntlbg("explain", "g/ntlbg:1", "--home", elsewhere), "resume"))
    assert "paused" not in ntlbg("explain", "g/ntlbg:1", "--home", elsewhere)


def test_an_error_says_the_command_for_the_same_home(ntlbg: Ntlbg, elsewhere: Path) -> None:
    said = ntlbg("explain", "x", "--home", elsewhere)
    assert pasted(said, "submit") == ["submit", "SUITE", "--home", "ada's lab"]


def test_a_published_file_is_converted_by_the_command_that_its_refusal_names(
    ntlbg: Ntlbg, elsewhere: Path, tmp_path: Path
) -> None:
    published = Path(__file__).parents[2] / "data/published"
    (file,) = published.rglob("longvideo_config.json")
    (tmp_path / "my config.json").write_text(file.read_text())
    said = ntlbg("config", "show", "my config.json")
    assert ntlbg(*pasted(said, "config"), "--output", "made.json")


def test_what_was_said_before_is_no_place_of_the_next_command(ntlbg: Ntlbg, tmp_path: Path) -> None:
    """Only what stands on this command line and not in the environment is added."""
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run("ntlbg")])
    ntlbg("status", "--home", tmp_path / "home")
    said = ntlbg("logs", "g/ntlbg:1")
    assert "--home" not in said
    assert "ntlbg explain" in said
