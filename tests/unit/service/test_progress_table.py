"""Runs as a table: whose they are where that differs, and what does not fit on the terminal."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from ntlbg_service.cli.progress_table import table_of
from ntlbg_service.results.run_status import run_statuses
from tests.support.builders import SUITE, Service, new_run


def shown(service: Service, rows: int, *, suites: bool = False) -> list[str]:
    runs = [run for key in service.ledger.suite_keys() for run in service.ledger.current_runs(key)]
    seen = run_statuses(service.ledger, service.storage, runs)
    console = Console(file=io.StringIO(), width=200)
    console.print(table_of(seen, "t", rows, suites=suites))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_a_user_is_named_where_there_are_several(tmp_path: Path) -> None:
    service = Service(tmp_path, places=1)
    service.ledger.submit(SUITE, [new_run(seed=1), new_run(seed=2)])
    service.controller.step()
    title, headings, running, queued = shown(service, 5)
    assert title == "t" and headings.startswith("run attempt on")
    assert running.startswith("g/ntlbg seed 1 1 cpu") and queued.startswith("g/ntlbg seed 2 -")
    other = new_run(seed=3)
    other = replace(other, identity=replace(other.identity, suite="b"))
    service.ledger.submit(replace(SUITE, key="b", submitter="bob"), [other])
    lines = shown(service, 2, suites=True)
    assert lines[1].startswith("suite run user attempt")
    assert lines[2].startswith("s g/ntlbg seed 1 ada 1 cpu")
    assert lines[4] == "and 1 queued"
