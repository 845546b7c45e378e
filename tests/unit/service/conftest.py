"""The command as a person runs it."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ntlbg_service import cli

Ntlbg = Callable[..., str]


@pytest.fixture
def ntlbg(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Ntlbg:
    """What `ntlbg` prints; its error where it ends with 2."""
    monkeypatch.setenv("NTLBG_HOME", str(tmp_path / "home"))

    def run(*words: str | Path) -> str:
        monkeypatch.setattr(sys, "argv", ["ntlbg", *map(str, words)])
        code: str | int | None = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        assert code in (0, 2)
        return printed.out if code == 0 else printed.err

    return run
