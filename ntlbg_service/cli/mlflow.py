"""`ntlbg mlflow`: the copy in MLflow, checked and filled again from ledger and storage."""

import time
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_any, complete_suite
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.refused import counted, print_refused
from ntlbg_service.cli.targets import existing_ledger, suites_of, targets_of
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.tracking import Tracker
    from ntlbg_service.tracking.publisher import Publisher


@click.group(short_help="Check or refill the copy in MLflow.")
def command() -> None:
    """MLflow is a copy of ledger and storage: check it, or fill it again."""


@command.command()
@click.argument("suite", required=False, shell_complete=complete_suite)
@workspace_options
def check(suite: str | None, workspace: Workspace) -> None:
    """Name each run of SUITE, or of all suites, that MLflow shows otherwise than the ledger, and
    what MLflow refused, with its reason."""
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.tracking.rebuild import disagreements

    ledger = existing_ledger(workspace)
    keys = suites_of(ledger, suite)
    refused = ledger.refused(suites=keys)
    print_refused(ledger, refused)
    found = disagreements(ledger, _tracker(workspace), keys)
    for each in found:
        click.echo(each.words)
    if found:
        raise RunsFailedError(f"MLflow disagrees on {len(found)} runs; 'ntlbg mlflow rebuild'")
    if refused:
        raise RunsFailedError(f"MLflow refused {counted(refused)}; 'ntlbg mlflow resend'")
    click.echo("MLflow shows what the ledger says")


@command.command()
@click.argument("target", required=False, shell_complete=complete_any, metavar="[SUITE|RUN]")
@workspace_options
def resend(target: str | None, workspace: Workspace) -> None:
    """Send again what MLflow refused of SUITE, of RUN, or of everything.

    What waits because MLflow did not answer is sent as well. Beside a controller it only notes what
    is to be told, and the controller tells it.
    """
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.tracking.rebuild import tell_all

    ledger = existing_ledger(workspace)
    chosen = targets_of(ledger, target) if target is not None else None
    suites = [chosen.suite] if chosen and chosen.suite is not None else None
    runs = [name.run_id for name in chosen.names] if chosen and suites is None else None
    ledger.resend(suites=suites, run_ids=runs)
    noted = ledger.figures().unsent
    if not tell_all(ledger, _publisher(ledger, workspace)):
        _say_noted(ledger, noted)
        return
    refused = ledger.refused(suites=suites, run_ids=runs)
    print_refused(ledger, refused)
    if refused:
        raise RunsFailedError(f"MLflow refused {counted(refused)} again")
    click.echo(f"MLflow took {noted} entr{'y' if noted == 1 else 'ies'}.")


@command.command()
@click.argument("suite", required=False, shell_complete=complete_suite)
@workspace_options
def rebuild(suite: str | None, workspace: Workspace) -> None:
    """Tell MLflow again everything of SUITE, or of all suites.

    What is missing is made, final states that disagree are mended, what is right stays as it is:
    it may be repeated, also after MLflow's database was lost. Beside a controller it only notes
    what is to be told, and the controller tells it.
    """
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.tracking.rebuild import disagreements, mend, note_all, tell_all

    ledger = existing_ledger(workspace)
    keys = suites_of(ledger, suite)
    noted = note_all(ledger, keys)
    tracker = _tracker(workspace)
    if not tell_all(ledger, _publisher(ledger, workspace)):
        _say_noted(ledger, noted)
        return
    mend(tracker, disagreements(ledger, tracker, keys))
    left = disagreements(ledger, tracker, keys)
    click.echo(f"MLflow was told of {noted} runs and suites" + (", except:" if left else "."))
    for each in left:
        click.echo(each.words)
    refused = ledger.refused(suites=keys)
    print_refused(ledger, refused)
    if refused:
        raise RunsFailedError(f"MLflow refused {counted(refused)}; 'ntlbg mlflow resend'")


def _say_noted(ledger: "Ledger", noted: int) -> None:
    from ntlbg_service.controller.lease import in_words

    leader = in_words(ledger.leader() or "nobody")
    click.echo(f"{noted} entries are noted; controller {leader} tells them to MLflow.")


def _publisher(ledger: "Ledger", workspace: Workspace) -> "Publisher":
    from ntlbg_service.storage.local import LocalStorage
    from ntlbg_service.tracking.publisher import Publisher

    storage = LocalStorage(workspace.storage)
    return Publisher(ledger, storage, _tracker(workspace), workspace, time.monotonic)


def _tracker(workspace: Workspace) -> "Tracker":
    from ntlbg_service.tracking import Tracker

    return Tracker(workspace.tracking_uri, workspace.artifact_root)
