"""The command as a person runs it, and an empty ledger."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ntlbg_service import cli
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from tests.support.builders import Ticks
from tests.support.ntlbg_call import Ntlbg


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


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    """An empty ledger's database, once of each kind."""
    made = open_database(ledger_url)
    yield made
    made.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """The ledger in it, with a clock of its own."""
    return Ledger(engine, Ticks())
