"""Commands on a home with a controller on a simulated executor."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service import cli
from tests.support.builders import SUITE, Service

Command = Callable[..., "Said"]


class Said:
    """What a command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def command_on(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """`ntlbg` on the service's home, as who submitted its suite runs it."""
    home = service.workspace.home
    monkeypatch.setenv("NTLBG_HOME", str(home))
    monkeypatch.setenv("NTLBG_USER", SUITE.submitter)

    def run(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["ntlbg", *map(str, words)])
        code: str | int | None = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        assert not (home / "crash.log").exists(), (home / "crash.log").read_text()
        return Said(int(code or 0), printed.out, printed.err)

    return run
