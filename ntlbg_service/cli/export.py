"""`ntlbg export`: a run's model as a folder that loads by itself."""

from pathlib import Path

import click

from ntlbg_service.cli.completers import complete_run
from ntlbg_service.cli.options import outside_home, workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.targets import existing_ledger, run_of
from ntlbg_service.domain.commands import command as named
from ntlbg_service.process.workspace import Workspace


@click.command(short_help="A trained model as a folder of its own.")
@click.argument("run", shell_complete=complete_run)
@click.argument("folder", type=FILE, metavar="DIR")
@click.option("--step", type=click.IntRange(min=1), help="Which checkpoint. [default: the newest]")
@workspace_options
def command(run: str, folder: Path, step: int | None, workspace: Workspace) -> None:
    """Write the trained model of RUN to DIR, which must not exist or be empty.

    `ntlbg ask VIDEO "question" --model DIR` and NTLBGVideoQA.from_pretrained(DIR) load it. What
    only a training goes on with stays behind: optimizer, schedule, random states. Of a sweep it is
    the model of the best trial.
    """
    from ntlbg_model.backbone.model import BackboneError
    from ntlbg_service.cli.formatting import bytes_in_words
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.maintenance.export import export
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    chosen = run_of(ledger, run)
    try:
        with outside_home():
            done = export(ledger, LocalStorage(workspace.storage), chosen, folder, step)
    except (BackboneError, OSError) as error:
        raise UserError(f"{folder}: {str(error).splitlines()[0]}") from None
    click.echo(f"{done.label} at step {done.step}: {bytes_in_words(done.size)} in {done.folder}")
    click.echo(f"{named('ask', 'VIDEO', 'QUESTION', '--model', str(done.folder))} asks it.")
