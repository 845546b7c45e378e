"""`ntlbg watch`: what runs, live, until it has ended."""

import time

import click

from ntlbg_service.cli.completing import complete_suite
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.targets import existing_ledger, suites_of
from ntlbg_service.workspace import Workspace

POLL_SECONDS = 1.0


@click.command(short_help="What runs, live, until it has ended.")
@click.argument("suite", shell_complete=complete_suite, required=False)
@click.option("--once", is_flag=True, help="Show it once and return.")
@workspace_options
def command(suite: str | None, once: bool, workspace: Workspace) -> None:
    """Show the runs of SUITE, or of all suites, until every one has ended.

    Peak against predicted memory, seconds since the last sign of life, and what training is left
    by the pace that was measured. It only looks: leaving it (Ctrl-C) stops nothing.
    """
    from ntlbg_service.cli.console import new_console
    from ntlbg_service.cli.progress import Progress
    from ntlbg_service.cli.progress_table import table_of
    from ntlbg_service.standings import standings
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    keys = suites_of(ledger, suite)
    if once:
        runs = [run for key in keys for run in ledger.current_runs(key)]
        seen = standings(ledger, storage, runs)
        table = table_of(seen, ", ".join(keys), len(seen), suites=len(keys) > 1)
        new_console().print(table)
        return
    with Progress(ledger, storage, *keys) as progress:
        while progress.update():
            time.sleep(POLL_SECONDS)
