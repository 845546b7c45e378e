"""`ntlbg pause`: stop a run, or what is left of a suite, until it is resumed."""

import click

from ntlbg_service.cli.acting import mine_option
from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="Stop a run or a suite until it is resumed.")
@click.argument("target", metavar="RUN|SUITE", shell_complete=complete_any)
@mine_option
@workspace_options
def command(target: str, mine: bool, workspace: Workspace) -> None:
    """Stop RUN, or every run of SUITE that has not ended, until `ntlbg resume`.

    What runs is stopped by the controller and goes on later from its newest checkpoint; what waits
    stays in the queue and does not start.
    """
    from ntlbg_service.cli.wanting import want
    from ntlbg_service.domain.states import DesiredState

    want(workspace, target, DesiredState.PAUSE, "is stopped, then paused", mine)
