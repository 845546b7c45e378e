"""`ntlbg watch`: what runs, live, until it has ended."""

import time

import click

from ntlbg_service.cli.completers import complete_suite
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.targets import existing_ledger, suite_of
from ntlbg_service.process.workspace import Workspace

POLL_SECONDS = 1.0
SHOWN = 200
"""Runs of all suites that are shown at once."""


@click.command(short_help="What runs, live, until it has ended.")
@click.argument("suite", shell_complete=complete_suite, required=False)
@click.option("--once", is_flag=True, help="Show it once and return.")
@workspace_options
def command(suite: str | None, once: bool, workspace: Workspace) -> None:
    """Show the runs of SUITE, or of all suites, until every one has ended.

    Of all suites it shows what runs, what waits next and what ended last, and counts the rest.
    Peak against predicted memory, seconds since the last sign of life, and what training is left
    by the pace that was measured. It only looks: leaving it (Ctrl-C) stops nothing.
    """
    from ntlbg_service.cli.console import new_console
    from ntlbg_service.cli.progress import ProgressView
    from ntlbg_service.cli.progress_table import NAMED, table_of
    from ntlbg_service.ledger.listing import RunFilter
    from ntlbg_service.results.run_status import run_statuses
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    key = None if suite is None else suite_of(ledger, suite)
    most = SHOWN if key is None else None
    if once:
        chosen = RunFilter(suite=key)
        seen = run_statuses(ledger, storage, ledger.listed(chosen, most))
        keys = list(dict.fromkeys(each.run.suite_key for each in seen))
        title = ", ".join(keys) if len(keys) <= NAMED else f"{len(keys)} suites"
        counts = ledger.count(chosen)
        table = table_of(seen, title, len(seen), suites=len(keys) > 1, counts=counts)
        new_console().print(table)
        return
    with ProgressView(ledger, storage, key, most) as progress:
        while progress.update():
            time.sleep(POLL_SECONDS)
