"""`ntlbg submit`: make a suite's runs durable and return; a controller runs them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.inventory_choice import choose_inventory
from ntlbg_service.cli.leader import who_drives
from ntlbg_service.cli.options import (
    load_selection,
    max_hours_option,
    open_ledger,
    selection_options,
    workspace_options,
)
from ntlbg_service.cli.param_types import FILE, PRIORITY
from ntlbg_service.cli.place import pasteable
from ntlbg_service.domain.commands import command as named
from ntlbg_service.domain.errors import UserError
from ntlbg_service.process.wakeup import notify
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntlbg_service.domain.expansion import Variant
    from ntlbg_service.domain.fitting.estimates import Estimates
    from ntlbg_service.domain.hardware.inventory import Inventory
    from ntlbg_service.domain.suite import SuiteFiles
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Submission
    from ntlbg_service.submission import Prepared


@click.command(short_help="Queue the runs of SUITE and return.")
@selection_options
@click.option("--inventory", type=FILE, help="Fit to this inventory instead of this machine's.")
@click.option("--parallel", type=click.IntRange(min=1), help="Runs at once on a CPU.")
@click.option(
    "--again",
    is_flag=False,
    flag_value="all",
    type=click.Choice(["all", "failed"]),
    help="Repeat runs that have ended: all of them, or those that failed.",
)
@click.option("--skip-refused", is_flag=True, help="Leave out variants that cannot run here.")
@click.option("--priority", type=PRIORITY, default=0, help="New runs with a higher one go first.")
@max_hours_option("as the file says, else none")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    inventory: Path | None,
    parallel: int | None,
    again: str | None,
    skip_refused: bool,
    priority: int,
    max_hours: float | None,
    as_json: bool,
    workspace: Workspace,
) -> None:
    """Queue the runs of SUITE, a suite's or a sweep's file, and return.

    When this returns, the runs are on disk: nothing that happens afterwards loses one. A controller
    runs them. The same suite again changes nothing; changed code or data makes new runs.
    """
    from ntlbg_service.cli.plan_table import print_plan
    from ntlbg_service.cli.submission import print_submission
    from ntlbg_service.config_files.loader import is_sweep
    from ntlbg_service.storage.local import LocalStorage
    from ntlbg_service.submission import submit

    nodes = choose_inventory(inventory, parallel, hopeful=True)
    if is_sweep(suite):
        if scale or groups or variants or experiment or skip_refused:
            raise UserError(f"{suite}: a sweep says itself which variant and scale; no options do")
        prepared, estimates = _sweep(suite, workspace, nodes)
    else:
        files, chosen = load_selection(suite, scale, groups, variants, experiment)
        prepared, estimates = _suite(files, chosen, workspace, nodes, skip_refused)
    ledger = open_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    submission = submit(ledger, storage, prepared, again, priority, max_hours)
    notify(workspace.wake)
    if as_json:
        click.echo(json.dumps(_as_json(ledger, prepared, submission), indent=1))
        return
    print_plan(prepared.plan, estimates)
    for words in prepared.skipped:
        click.echo(f"Skipped {words}")
    print_submission(ledger, submission)
    for run in ledger.runs([*submission.new, *submission.known]).values():
        click.echo(f"  {run.run_id}  {run.group}/{run.variant}:{run.seed}  {run.state}")
    watch = named("watch", prepared.suite.key)
    click.echo(f"{pasteable(watch)} shows them; {who_drives(ledger)}")


def _suite(
    files: "SuiteFiles",
    chosen: "Sequence[Variant]",
    workspace: Workspace,
    nodes: "Inventory",
    skip_refused: bool,
) -> "tuple[Prepared, Estimates]":
    from ntlbg_service.cli.tracing import telling
    from ntlbg_service.submission import prepare_suite

    with telling(workspace, chosen) as estimates:
        prepared = prepare_suite(
            files, chosen, workspace, nodes, skip_refused=skip_refused, estimates=estimates
        )
    return prepared, estimates


def _sweep(file: Path, workspace: Workspace, nodes: "Inventory") -> "tuple[Prepared, Estimates]":
    from ntlbg_service.estimates.trace_cache import open_estimates
    from ntlbg_service.results.peak_memory import read_calibrations
    from ntlbg_service.submission import prepare_sweep

    learned = read_calibrations(workspace)
    estimates = open_estimates(workspace.home, trace=False, learned=learned)
    return prepare_sweep(file, workspace, nodes, estimates), estimates


def _as_json(ledger: "Ledger", prepared: "Prepared", submission: "Submission") -> dict[str, Any]:
    from ntlbg_service.domain.planning.plan_record import to_json

    runs = ledger.runs([*submission.new, *submission.known]).values()
    return {
        "suite": prepared.suite.key,
        "new": submission.new,
        "known": submission.known,
        "changed": submission.changed,
        "superseded": submission.superseded,
        "runs": [
            {
                "run_id": run.run_id,
                "submitter": run.submitter,
                "group": run.group,
                "variant": run.variant,
                "seed": run.seed,
                "state": run.state.value,
            }
            for run in runs
        ],
        "plan": to_json(prepared.plan),
    }
