"""`ntlbg logs`: an attempt's output, from its first byte."""

import sys
import time
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_run
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.targets import existing_ledger, run_of
from ntlbg_service.domain.commands import command as named
from ntlbg_service.domain.errors import UserError
from ntlbg_service.process.redaction import RedactedBytes
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.layout import AttemptKeys

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Attempt, Run
    from ntlbg_service.storage.local import Storage

POLL_SECONDS = 0.5
CHUNK = 1 << 16
"""Bytes read at once."""
LONGEST_COLOUR = 70
"""Bytes."""


@click.command(short_help="A run's output, from the first byte.")
@click.argument("run", shell_complete=complete_run)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="[default: the newest]")
@workspace_options
def command(run: str, follow: bool, attempt: int | None, workspace: Workspace) -> None:
    """Print what RUN's driver and workers wrote, from the first byte.

    With --follow, later attempts are printed too, each named on stderr. Logs are files in the
    storage; they are there whatever became of the process.
    """
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    chosen = run_of(ledger, run)
    if attempt is not None:
        _known(ledger, chosen, attempt)
    elif not follow and not ledger.attempts_of(chosen.run_id):
        raise UserError(
            f"{chosen.label} has not started: {chosen.state}; "
            f"{named('explain', chosen.run_id)} says what it waits for"
        )
    if follow:
        _follow(ledger, storage, chosen, attempt)
    else:
        number = attempt or ledger.attempts_of(chosen.run_id)[-1].number
        print_log(storage, AttemptKeys(chosen.run_id, number), 0)


def _known(ledger: "Ledger", run: "Run", attempt: int) -> None:
    numbers = [each.number for each in ledger.attempts_of(run.run_id)]
    if attempt not in numbers:
        known = ", ".join(map(str, numbers)) or "none"
        raise UserError(f"--attempt: {run.label} has no attempt {attempt}; valid: {known}")


def _follow(ledger: "Ledger", storage: "Storage", run: "Run", only: int | None) -> None:
    """Attempt after attempt: what is there, and what comes, until the ledger knows the end."""
    number, place = only or _newest(ledger, run), 0
    while True:
        ended = _over(ledger, run, number, only is not None)
        place = print_log(storage, AttemptKeys(run.run_id, number), place) if number else 0
        following = None if only else _newest(ledger, run)
        if following and following != number:
            number, place = following, 0
            click.echo(f"== attempt {number} of {run.label}", err=True)
        elif ended:
            return
        else:
            time.sleep(POLL_SECONDS)


def _newest(ledger: "Ledger", run: "Run") -> int | None:
    attempts = ledger.attempts_of(run.run_id)
    return attempts[-1].number if attempts else None


def _over(ledger: "Ledger", run: "Run", number: int | None, alone: bool) -> bool:
    """Whether nothing more will be written: read before the log, so that its end is printed."""
    from ntlbg_service.domain.states import TERMINAL

    if alone:
        attempts = {each.number: each for each in ledger.attempts_of(run.run_id)}
        return number is not None and _ended(attempts[number])
    return ledger.run(run.run_id).state in TERMINAL


def _ended(attempt: "Attempt") -> bool:
    return attempt.ended_at is not None


def print_log(storage: "Storage", keys: AttemptKeys, place: int) -> int:
    """Print an attempt's log from a byte on, without its colours and secrets; says where it ends
    now. Raises CorruptRecordError."""
    from ntlbg_service.domain.control_characters import COLOUR
    from ntlbg_service.storage.errors import CorruptRecordError
    from ntlbg_service.storage.files import opened

    output, held = RedactedBytes(sys.stdout.buffer), b""
    try:
        with opened(storage.path(keys.log)) as log:
            log.seek(place)
            while block := log.read(CHUNK):
                place += len(block)
                # A colour may come in two parts.
                text, escape, begun = COLOUR.sub(b"", held + block).rpartition(b"\x1b")
                whole = not escape or len(begun) > LONGEST_COLOUR
                held = b"" if whole else escape + begun
                output.write(text + escape + begun if whole else text)
    except FileNotFoundError:
        return place
    except CorruptRecordError as error:
        raise CorruptRecordError(f"storage: {keys.log}: {error}") from None
    output.write(held)
    output.flush()
    return place
