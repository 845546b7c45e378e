"""What is printed steers no terminal, whoever prints it; styles of our own still reach one."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ntlbg_service.cli.console import DataConsole
from ntlbg_service.cli.logs import print_log
from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.process.terminal import neutral_output
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import CorruptRecordError, LocalStorage
from ntlbg_service.tracking import limits

STEERING = (
    *map(chr, (*range(9), *range(11, 32), *range(127, 160))),
    *"\u202a\u202e\u2066\u2069\u200b\u200e\u061c\u2028\ufeff",
    "\U000e0041",
    "\udc9b",
)
RAW = re.compile("[" + "".join(set(STEERING) - {"\r"}).replace("\\", "") + "]")
HOSTILE = "a\x1b[2J\x1b]0;title\x1b_\x9b31m\u202eb\x7f[red]c[/] :smile:"
SHOWN = r"a\u001b[2J\u001b]0;title\u001b_\u009b31m\u202eb\u007f[red]c[/] :smile:"


class Behind(io.BytesIO):
    """A file, or a terminal."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal

    @property
    def text(self) -> str:
        return self.getvalue().decode("utf-8", "surrogateescape")


@contextmanager
def printing(*, terminal: bool = False) -> Iterator[Behind]:
    """What comes to stdout meanwhile."""
    behind = Behind()
    behind.terminal = terminal
    stream = io.TextIOWrapper(behind, encoding="utf-8", errors="surrogateescape")
    with redirect_stdout(stream), neutral_output():
        yield behind
    stream.detach()


@pytest.mark.parametrize("letter", STEERING)
def test_each_character_that_steers_is_shown(letter: str) -> None:
    said = neutral(f"a{letter}b")
    if letter == "\r":
        assert said == "a\nb"
    else:
        assert said.isascii() and json.loads(f'"{said}"') == f"a{letter}b"


@pytest.mark.parametrize("text", ["é 名前 \t\n", "می\u200cخواهم", "👩\u200d🔬", "a\r\nb"])
def test_what_people_write_stays(text: str) -> None:
    assert neutral(text) == text.replace("\r", "")


def test_whoever_prints_prints_neutral_text() -> None:
    with printing() as printed:
        print(HOSTILE)
        print(HOSTILE, file=sys.stdout, flush=True)
        sys.stdout.write(HOSTILE + "\n")
        sys.stdout.buffer.write(HOSTILE.encode() + b"\xff\n")
    assert printed.text == f"{SHOWN}\n" * 3 + SHOWN + "\\udcff\n"


def test_json_keeps_its_data() -> None:
    with printing() as printed:
        click.echo(json.dumps({"a": HOSTILE, "b": "\x7f\U000e0041"}, ensure_ascii=False))
    assert json.loads(printed.text) == {"a": HOSTILE, "b": "\x7f\U000e0041"}
    assert not RAW.search(printed.text)


def test_a_console_shows_data_as_it_is() -> None:
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE, no_wrap=True)
    table.add_row(HOSTILE)
    with printing() as printed:
        console = DataConsole()
        console.width = 300
        console.print(HOSTILE)
        console.print(Text(HOSTILE, style="bold"))
        console.print(table)
    assert printed.text.count(SHOWN) == 5
    assert not RAW.search(printed.text)


def test_styles_of_our_own_reach_a_terminal_and_no_others(colours: None) -> None:
    with printing(terminal=True) as printed:
        console = DataConsole()
        print("first")
        console.print(Text.assemble(("mark", "red"), f" {HOSTILE}"))
        print("last")
    assert f"first\n\x1b[31mmark\x1b[0m {SHOWN}\nlast\n" == printed.text


def test_what_moves_on_a_terminal_is_our_own(colours: None) -> None:
    with printing(terminal=True) as printed:
        console = DataConsole()
        with Live(Text(HOSTILE), console=console, auto_refresh=False) as live:
            live.update(Text("second"), refresh=True)
            console.print(HOSTILE)
            click.echo(HOSTILE)
    ours = re.sub(r"\x1b\[(\?25[lh]|\d*[AJKm]|\d+;?\d*m)|\r", "", printed.text)
    assert "\x1b" in printed.text and not RAW.search(ours)


def test_a_console_that_is_not_ours_is_harmless(colours: None) -> None:
    with printing(terminal=True) as printed:
        Console().print(Text(HOSTILE, style="red"))
    assert "mark" not in printed.text and not RAW.search(printed.text)


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def test_only_one_console_is_made() -> None:
    """Others would show `[red]` in data as red, and their own colours as escapes."""
    root = Path(__file__).parents[3] / "ntlbg_service"
    makes = re.compile(r"(?<!Data)\bConsole\(|click\.(style|secho)|from_markup")
    found = [path.name for path in root.rglob("*.py") if makes.search(path.read_text())]
    assert found == []


def test_a_log_is_shown_without_colours_and_escapes(tmp_path: Path) -> None:
    storage, keys = LocalStorage(tmp_path), AttemptKeys("r", 1)
    log = storage.path(keys.log)
    log.parent.mkdir(parents=True)
    log.write_bytes(
        b"\x1b[1;31mred\x1b[0m\x1b[2K 10%\r 20%\n" + b"\x1b[32m" * 40_000 + b"end\x1b[3"
    )
    with printing() as printed:
        assert print_log(storage, keys, 0) == log.stat().st_size
    assert printed.text == "red\\u001b[2K 10%\n 20%\nend\\u001b[3"
    log.unlink()
    assert print_log(storage, keys, 0) == 0
    os.mkfifo(log)
    with pytest.raises(CorruptRecordError, match=r"driver.log: is no file"):
        print_log(storage, keys, 0)


def test_mlflow_is_told_neutral_text() -> None:
    assert limits.text(HOSTILE) == SHOWN
    assert not RAW.search(limits.key(HOSTILE))


def test_a_command_on_a_terminal(tmp_path: Path) -> None:
    """The program itself, with a terminal before it."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "ntlbg_service", "status", "a\x1b[2J\u202eb"]
    with subprocess.Popen(
        [*words, "--home", str(tmp_path)], stdout=theirs, stderr=theirs, cwd=tmp_path
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while block := os.read(ours, 4096):
                said += block
        except OSError:  # The other end of a terminal is closed so.
            pass
    os.close(ours)
    assert process.returncode == 2
    assert b"\x1b" not in said and "\u202e".encode() not in said
