"""`ntlbg priority`: move what waits forward or back in the queue."""

import click

from ntlbg_service.cli.acting import actor, allowed, mine_option
from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import PRIORITY
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="Move a run or a suite in the queue.")
@click.argument("target", metavar="RUN|SUITE", shell_complete=complete_any)
@click.argument("priority", type=PRIORITY)
@mine_option
@workspace_options
def command(target: str, priority: int, mine: bool, workspace: Workspace) -> None:
    """Give RUN, or every run of SUITE that has not ended, another PRIORITY.

    A level is worth two days of waiting. What runs keeps running; its next attempt would have it.
    """
    from ntlbg_service.cli.targets import existing_ledger, targets_of
    from ntlbg_service.domain.states import TERMINAL
    from ntlbg_service.process.wakeup import notify

    who = actor()
    ledger = existing_ledger(workspace)
    found = targets_of(ledger, target)
    runs = list(ledger.summaries(found.run_ids))
    if found.suite is not None:
        runs = [run for run in runs if run.state not in TERMINAL]
        if not runs:
            click.echo(f"{found.suite}: every run has ended already")
    for run in allowed(ledger, runs, who, "move", mine):
        before = ledger.prioritise(run.run_id, priority, who)
        change = f"priority {before} -> {priority}" if before != priority else "had it already"
        click.echo(f"{run.label}  {run.run_id}  {run.state}  {change}")
    notify(workspace.wake)
