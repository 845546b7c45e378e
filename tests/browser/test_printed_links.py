"""The links that a terminal shows after a real run, opened as they stand there."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import Cli, render, write_suite
from tests.support.mlflow_server import mlflow_server, unused_port
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]


class Terminal:
    """A folder with a suite, a home whose name a shell would break, and no NTLBG_HOME."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.suite = write_suite(folder, **{"training.max_steps": 2})
        self.home = folder / "ada's lab"
        self.cli = Cli(self.home, folder / "data")
        render(folder / "data")
        away = ("NTLBG_HOME", "NTLBG_MLFLOW", "NTLBG_LEDGER")
        kept = {name: value for name, value in os.environ.items() if name not in away}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = kept | {"PATH": tools, "NTLBG_DATA_ROOT": str(folder / "data")}

    def paste(self, line: str) -> str:
        """What a line says in a shell; it has to work."""
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ntlbg(self, *words: str | Path) -> str:
        return self.paste(shlex.join(["ntlbg", *map(str, words), "--home", self.home.name]))

    @contextmanager
    def left_open(self, line: str) -> Iterator[str]:
        """What `ntlbg ui` says before it waits; Ctrl-C ends it."""
        process = subprocess.Popen(
            f"exec {line}",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            yield _until_open(process)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=PATIENCE)


def _until_open(process: "subprocess.Popen[str]") -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line.startswith("MLflow is at"):
            return said
    raise AssertionError(f"ntlbg ui ended: {said}")


def command_in(said: str) -> str:
    """The command behind 'MLflow:', without the quotes around it."""
    found = re.search(r"^MLflow: (['`])(.*)\1$", said, re.MULTILINE)
    assert found is not None, said
    return found[2]


def link_in(said: str) -> str:
    found = re.search(r"^small@laptop: (http\S+)$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path_factory.mktemp("terminal"))
    yield terminal
    terminal.cli.stop()


@pytest.fixture(scope="module")
def after_run(terminal: Terminal) -> str:
    """What `ntlbg run` printed."""
    return terminal.ntlbg("run", terminal.suite)


def see_both_runs(page: "Page", link: str) -> None:
    """The suite's runs side by side, and then compared."""
    page.goto(link)
    for name in ("uniform/seed1", "ntlbg/seed1"):
        page.get_by_role("link", name=name).wait_for()
    page.get_by_text("2 matching runs").wait_for()
    page.get_by_text("glitch/accuracy").first.wait_for()
    page.get_by_role("checkbox", name="Select all runs").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()


def test_what_a_run_and_a_comparison_print_leads_to_the_runs(
    terminal: Terminal, after_run: str, page: "Page"
) -> None:
    after_compare = terminal.ntlbg("compare", terminal.suite)
    command = command_in(after_run)
    assert command_in(after_compare) == command
    with terminal.left_open(f"{command} --port {unused_port()}") as said:
        see_both_runs(page, link_in(said))


def test_where_a_server_is_named_the_links_lead_to_it(
    terminal: Terminal, after_run: str, page: "Page", tmp_path: Path
) -> None:
    with mlflow_server(tmp_path / "server") as address:
        terminal.ntlbg("mlflow", "rebuild", "--mlflow", address)
        said = terminal.ntlbg("compare", terminal.suite, "--mlflow", address)
        see_both_runs(page, link_in(terminal.paste(command_in(said))))
