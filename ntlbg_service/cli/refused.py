"""What MLflow refused and what it was not told, in words."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from ntlbg_service.domain.errors import InfrastructureError, NtlbgError, RunsFailedError

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import OutboxEntry


def print_refused(ledger: "Ledger", entries: "Collection[OutboxEntry]") -> None:
    """A line for each entry that is set aside: of what, since when, how often tried, and why."""
    suites = dict.fromkeys(entry.suite_key for entry in entries)
    labels = {name.run_id: name.label for suite in suites for name in ledger.names(suite)}
    for entry in entries:
        what = f"suite {entry.suite_key}"
        if entry.run_id is not None:
            what = f"{labels.get(entry.run_id, 'unknown run')}  {entry.run_id}"
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.refused_at))
        tries = f"tried {entry.tries} time{'s' * (entry.tries != 1)}"
        click.echo(f"{what}  {entry.topic} set aside {since}, {tries}: {entry.error}")


def print_hint(ledger: "Ledger", suites: Collection[str]) -> None:
    """One line where MLflow refused something of these suites."""
    entries = ledger.refused(suites=suites)
    if entries:
        click.echo(
            f"MLflow refused {counted(entries)}; 'ntlbg mlflow check' says why, "
            "'ntlbg mlflow resend' sends them again"
        )


def counted(entries: "Collection[OutboxEntry]") -> str:
    """'3 entries about 2 runs'."""
    runs = len({entry.run_id for entry in entries if entry.run_id is not None})
    entry = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    return entry + (f" about {runs} run{'s' * (runs != 1)}" if runs else "")


def untold(ledger: "Ledger", suite_key: str) -> NtlbgError | None:
    """The error about what MLflow lacks of a suite that has ended, with the command that sends it;
    None where it was told everything."""
    waiting, why = ledger.unsent_of(suite_key)
    if waiting:
        return InfrastructureError(
            f"MLflow was not told everything of {suite_key}: "
            f"{'1 entry waits' if waiting == 1 else f'{waiting} entries wait'} in the ledger "
            f"({why or 'not tried yet'}). All results are kept; 'ntlbg mlflow resend' "
            "sends the rest, as does the next controller"
        )
    refused = ledger.refused(suites=[suite_key])
    if refused:
        return RunsFailedError(
            f"MLflow refused {counted(refused)} of {suite_key}; the first: {refused[0].error}. All "
            "results are kept; 'ntlbg mlflow check' names each, 'ntlbg mlflow resend' sends them "
            "again"
        )
    return None
