"""`ntlbg run`: submit a suite and drive it to its end."""

import os
from pathlib import Path

import click

from ntlbg_service.cli.inventory_choice import choose_ground
from ntlbg_service.cli.options import (
    load_selection,
    max_hours_option,
    open_ledger,
    selection_options,
    workspace_options,
)
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.staging import stage_options
from ntlbg_service.process.workspace import Workspace


@click.command()
@selection_options
@click.option(
    "--again",
    is_flag=False,
    flag_value="all",
    type=click.Choice(["all", "failed"]),
    help="Repeat runs that have ended: all of them, or those that failed.",
)
@click.option("--skip-refused", is_flag=True, help="Leave out variants that cannot run here.")
@click.option("--parallel", type=click.IntRange(min=1), help="Runs at once on a CPU.")
@max_hours_option("as the file says, else none")
@click.option("--html", type=FILE, help="Where the report goes. [default: HOME/storage/reports]")
@workspace_options
@stage_options
def command(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    again: str | None,
    skip_refused: bool,
    parallel: int | None,
    max_hours: float | None,
    html: Path | None,
    workspace: Workspace,
) -> None:
    """Run SUITE: validate, fit, plan, queue, train, evaluate, compare.

    What has run already is not repeated. After Ctrl-C or a kill the same command goes on.
    """
    from ntlbg_service.cli.compare import show_comparison, write_report
    from ntlbg_service.cli.drive import drive
    from ntlbg_service.cli.plan_table import print_plan
    from ntlbg_service.cli.refused import untold
    from ntlbg_service.cli.submission import print_submission
    from ntlbg_service.cli.tracing import telling
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.domain.states import UNSUCCESSFUL
    from ntlbg_service.report.suite_report import SuiteReport, read_report
    from ntlbg_service.storage.local import LocalStorage
    from ntlbg_service.submission import prepare_suite, submit

    files, chosen = load_selection(suite, scale, groups, variants, experiment)
    ground = choose_ground(None, parallel)
    with telling(workspace, chosen) as estimates:
        prepared = prepare_suite(
            files,
            chosen,
            workspace,
            ground.inventory,
            skip_refused=skip_refused,
            estimates=estimates,
        )
    print_plan(prepared.plan, estimates)
    ledger = open_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    print_submission(ledger, submit(ledger, storage, prepared, again, max_hours=max_hours))

    written: list[tuple[SuiteReport, str]] = []

    def report() -> None:
        found = read_report(ledger, workspace, files, chosen)
        written.append((found, write_report(found, html)))

    ground.estimates = estimates
    led = drive(ledger, workspace, files.key, ground, os.environ, report)
    show_comparison(*written[-1])
    wanted = {(variant.group, variant.name) for variant in chosen}
    failed = [
        run
        for run in ledger.current_runs(files.key)
        if (run.group, run.variant) in wanted and run.state in UNSUCCESSFUL
    ]
    missing = untold(ledger, files.key) if led else None
    if failed:
        if missing is not None:
            click.echo(str(missing), err=True)
        raise RunsFailedError(
            f"{len(failed)} of {len(prepared.runs)} runs failed; the first, {failed[0].label}: "
            f"{failed[0].reason}"
        )
    if missing is not None:
        raise missing
