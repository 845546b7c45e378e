"""What a submission did, in words."""

from collections import Counter

import click

from ntlbg_service.domain.states import RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Submission


def print_submission(ledger: Ledger, submission: Submission) -> None:
    """Say what is new, what is known, what changed since it last ran."""
    counts = Counter(ledger.states(submission.known).values())
    parts = [f"{len(submission.new)} new"] if submission.new else []
    parts += [f"{counts[state]} {state} before" for state in RunState if counts[state]]
    click.echo(f"Submitted: {', '.join(parts)}.")
    if submission.changed:
        what = sorted({part for parts in submission.changed.values() for part in parts})
        if what:
            click.echo(
                f"Since they last ran, {' and '.join(what)} changed for "
                f"{len(submission.changed)} runs: they run anew."
            )
    if submission.superseded:
        click.echo(f"{len(submission.superseded)} queued older versions were cancelled.")
    if counts[RunState.FAILED] or counts[RunState.CANCELLED]:
        click.echo("Ended runs stay as they are; --again failed repeats those that failed.")
