"""`ntlbg cancel`: end a run, or what is left of a suite, for good."""

import click

from ntlbg_service.cli.acting import mine_option
from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="End a run or a suite for good.")
@click.argument("target", metavar="RUN|SUITE", shell_complete=complete_any)
@mine_option
@workspace_options
def command(target: str, mine: bool, workspace: Workspace) -> None:
    """End RUN, or every run of SUITE that has not ended, for good.

    A queued run is cancelled at once. One that runs is stopped by the controller, with all of its
    processes; the wish is kept until it is done, whatever is killed meanwhile.
    """
    from ntlbg_service.cli.wanting import want
    from ntlbg_service.domain.states import DesiredState

    want(workspace, target, DesiredState.CANCEL, "is stopped, then cancelled", mine)
