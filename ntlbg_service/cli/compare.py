"""`ntlbg compare`: what a suite measured, as a table and a report."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import (
    load_selection,
    open_ledger,
    outside_home,
    selection_options,
    workspace_options,
)
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.place import pasteable
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.domain.expansion import Variant
    from ntlbg_service.domain.suite import SuiteFiles
    from ntlbg_service.ledger.ledger import Ledger


@click.command()
@selection_options
@click.option("--html", type=FILE, help="Where the report goes. [default: HOME/storage/reports]")
@workspace_options
def command(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    html: Path | None,
    workspace: Workspace,
) -> None:
    """Compare the variants of SUITE: intervals, seeds, paired tests, cost; write the report."""
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.domain.naming import LISTED
    from ntlbg_service.ledger.listing import RunFilter

    files, chosen = load_selection(suite, scale, groups, variants, experiment)
    ledger = open_ledger(workspace, to_read=True) if workspace.ledger_exists else None
    if ledger is None or not ledger.count(RunFilter(suite=files.key)):
        keys = ledger.suite_keys() if ledger else ()
        more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
        known = ", ".join(keys[-LISTED:]) + more if keys else "none"
        raise UserError(
            f"{files.source}: suite '{files.key}' was never run on {workspace.home} "
            f"(there are: {known})"
        )
    show_comparison(ledger, workspace, files, chosen, html)


def show_comparison(
    ledger: "Ledger",
    workspace: Workspace,
    files: "SuiteFiles",
    variants: "Sequence[Variant]",
    html: Path | None,
) -> None:
    """Print the comparison and write the report."""
    from datetime import datetime

    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.process.permissions import explained
    from ntlbg_service.report.suite_report import compare_suite, write_report
    from ntlbg_service.report.table import print_comparison

    console = DataConsole()
    console.print()
    print_comparison(compare_suite(ledger, workspace, files, variants), console)
    now = datetime.now().astimezone()
    try:
        with outside_home() if html else nullcontext():
            written = str(write_report(ledger, workspace, files, variants, now, html))
    except OSError as error:
        if html is not None:
            raise
        written = f"not written: {explained(error)}"
    click.echo(f"Report: {written}")
    click.echo(pasteable("MLflow: 'ntlbg ui'"))
