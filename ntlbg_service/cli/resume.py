"""`ntlbg resume`: let paused runs go on."""

import click

from ntlbg_service.cli.acting import mine_option
from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="Let paused runs go on.")
@click.argument("target", metavar="RUN|SUITE", shell_complete=complete_any)
@mine_option
@workspace_options
def command(target: str, mine: bool, workspace: Workspace) -> None:
    """Let RUN, or every run of SUITE that has not ended, go on after `ntlbg pause`."""
    from ntlbg_service.cli.wanting import want
    from ntlbg_service.domain.states import DesiredState

    want(workspace, target, DesiredState.RUN, "", mine)
