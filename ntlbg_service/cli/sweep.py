"""`ntlbg sweep`: a small search with Ray Tune, one run in the ledger."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.inventory_choice import choose_ground
from ntlbg_service.cli.options import open_ledger, workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--again",
    is_flag=False,
    flag_value="all",
    type=click.Choice(["all", "failed"]),
    help="Repeat the sweep if it has ended, or if it failed.",
)
@workspace_options
def command(file: Path, again: str | None, workspace: Workspace) -> None:
    """Sweep FILE: every trial a Ray Train run, the best one named at the end.

    Trials that fit nowhere, or that are not built yet, are skipped and named.
    """
    from ntlbg_service.cli.drive import drive
    from ntlbg_service.cli.refused import untold
    from ntlbg_service.cli.submission import print_submission
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.domain.states import UNSUCCESSFUL
    from ntlbg_service.estimates.trace_cache import open_estimates
    from ntlbg_service.results.peak_memory import read_calibrations
    from ntlbg_service.storage.local import LocalStorage
    from ntlbg_service.submission import prepare_sweep, submit

    ground = choose_ground(None, None)
    learned = read_calibrations(workspace)
    estimates = open_estimates(workspace.home, trace=False, learned=learned)
    prepared = prepare_sweep(file, workspace, ground.inventory, estimates=estimates)
    for words in prepared.skipped:
        click.echo(f"Skipped {words}")
    ledger = open_ledger(workspace)
    print_submission(ledger, submit(ledger, LocalStorage(workspace.storage), prepared, again))
    key = prepared.suite.key
    led = drive(ledger, workspace, key, ground, os.environ)
    missing = untold(ledger, key) if led else None
    for run in ledger.current_runs(key):
        _print_trials(ledger, workspace, run.run_id)
        if run.state in UNSUCCESSFUL:
            if missing is not None:
                click.echo(str(missing), err=True)
            raise RunsFailedError(f"sweep {run.variant}: {run.reason}")
    if missing is not None:
        raise missing


def _print_trials(ledger: "Ledger", workspace: Workspace, run_id: str) -> None:
    from rich.table import Table

    from ntlbg_service.cli.console import DataConsole
    from ntlbg_service.results.attempts import best_trial, read_trials
    from ntlbg_service.storage.local import LocalStorage

    run = ledger.run(run_id)
    metric = run.details["metric"]
    trials = read_trials(LocalStorage(workspace.storage), run, ledger.attempts_of(run_id))
    table = Table(title=f"Sweep {run.variant}", title_justify="left", box=None, pad_edge=False)
    for heading in ("trial", *trials[0].point, metric, "seconds", ""):
        table.add_column(heading)
    best = best_trial(run, trials)
    for trial in trials:
        seconds = trial.exit.train_seconds if trial.exit else None
        table.add_row(
            trial.name,
            *(
                f"{value:.4g}" if isinstance(value, float) else str(value)
                for value in trial.point.values()
            ),
            "-" if trial.score is None else f"{trial.score:.3f}",
            "-" if seconds is None else f"{seconds:.0f}",
            "best" if trial is best else "",
        )
    DataConsole().print(table)
