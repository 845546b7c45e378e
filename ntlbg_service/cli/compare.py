"""`ntlbg compare`: what a suite measured, as a table and a report."""

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
    from ntlbg_service.report.suite_report import SuiteReport


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
    from ntlbg_service.report.suite_report import read_report

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
    report = read_report(ledger, workspace, files, chosen)
    show_comparison(report, write_report(report, html))


def write_report(report: "SuiteReport", html: Path | None) -> str:
    """Write the report and say where it is, or why it could not be written beside the results.
    Raises OSError where a person named the place."""
    from datetime import datetime

    from ntlbg_service.process.permissions import explained

    try:
        with outside_home() if html else nullcontext():
            return str(report.write(datetime.now().astimezone(), html))
    except OSError as error:
        if html is not None:
            raise
        return f"not written: {explained(error)}"


def show_comparison(report: "SuiteReport", written: str) -> None:
    """Print the comparison and where its report is."""
    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.report.table import print_comparison

    console = DataConsole()
    console.print()
    print_comparison(report.comparison, console)
    click.echo(f"Report: {written}")
    click.echo(pasteable("MLflow: 'ntlbg ui'"))
