"""`ntlbg retry`: queue a repetition of runs that ended badly."""

import click

from ntlbg_service.cli.acting import actor, allowed, mine_option
from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.leader import who_drives
from ntlbg_service.cli.options import max_hours_option, workspace_options
from ntlbg_service.cli.param_types import PRIORITY
from ntlbg_service.cli.targets import existing_ledger
from ntlbg_service.process.wakeup import notify
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="Repeat what failed or was lost.")
@click.argument("target", metavar="RUN|SUITE", shell_complete=complete_any)
@click.option(
    "--failed", is_flag=True, help="Only what failed or was lost, not what was cancelled."
)
@click.option("--priority", type=PRIORITY, help="A higher one goes first. [default: as before]")
@max_hours_option("as before")
@mine_option
@workspace_options
def command(
    target: str,
    failed: bool,
    priority: int | None,
    max_hours: float | None,
    mine: bool,
    workspace: Workspace,
) -> None:
    """Run again RUN, or every run of SUITE, that failed, was lost or was cancelled.

    The ended run keeps its record; its repetition has the same config, seed and data, and an id of
    its own. What had used its hours goes on from its newest checkpoint, everything else begins
    anew. `ntlbg submit SUITE --again` repeats what finished, or runs changed code or data.
    """
    from ntlbg_service.cli.wanting import repeatable
    from ntlbg_service.domain.states import TERMINAL, UNSUCCESSFUL, RunState

    who = actor()
    ledger = existing_ledger(workspace)
    states = UNSUCCESSFUL if failed else TERMINAL - {RunState.FINISHED}
    runs = allowed(ledger, repeatable(ledger, target, states), who, "repeat", mine)
    for run in runs:
        repetition = ledger.requeue(run.run_id, who, priority, max_hours)
        click.echo(f"{run.label}  {run.run_id}  {run.state}: queued again as {repetition}")
    notify(workspace.wake)
    click.echo(f"Queued; {who_drives(ledger)}" if runs else "Nothing to repeat.")
