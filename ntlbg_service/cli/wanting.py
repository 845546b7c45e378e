"""What a person wants of runs: noted for each, then what became of it in one line a run."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.acting import actor, allowed
from ntlbg_service.cli.leader import who_drives
from ntlbg_service.cli.targets import existing_ledger, targets_of
from ntlbg_service.domain.states import TERMINAL, DesiredState, RunState
from ntlbg_service.process.wakeup import notify
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import RunSummary


def want(workspace: Workspace, target: str, wanted: DesiredState, doing: str, mine: bool) -> None:
    """Ask for `wanted` of a run, or of each run of a suite that has not ended.

    `doing`: what happens to a run whose wish a controller has to fulfil, for example 'is stopped'.
    With `mine`, those of who acts. Raises UserError for one run that ended another way, and for
    another user's.
    """
    who = actor()
    ledger = existing_ledger(workspace)
    found = targets_of(ledger, target)
    runs = list(ledger.summaries(found.run_ids))
    if found.suite is not None:
        runs = [run for run in runs if run.state not in TERMINAL]
        if not runs:
            click.echo(f"{found.suite}: every run has ended already")
    runs = allowed(ledger, runs, who, wanted.verb, mine)
    waits = False
    for run in runs:
        state = ledger.request(run.run_id, wanted, who)
        pending = state is RunState.RUNNING and wanted is not DesiredState.RUN
        waits |= pending
        click.echo(f"{run.label}  {run.run_id}  {doing if pending else _now(state, wanted)}")
    notify(workspace.wake)
    if waits:
        click.echo(f"Stopping is a controller's work; {who_drives(ledger)}")


def _now(state: RunState, wanted: DesiredState) -> str:
    return "paused" if (state, wanted) == (RunState.QUEUED, DesiredState.PAUSE) else state.value


def repeatable(ledger: "Ledger", target: str, states: Collection[RunState]) -> list["RunSummary"]:
    """Runs that a repetition is wanted of: one that is named, or a suite's in one of `states`.

    Raises UserError for one run in another state.
    """
    from ntlbg_service.domain.errors import UserError

    found = targets_of(ledger, target)
    runs = list(ledger.summaries(found.run_ids))
    if found.suite is None and runs[0].state not in states:
        which = ", ".join(state.value for state in RunState if state in states)
        raise UserError(f"{runs[0].label} is {runs[0].state}; this repeats what is {which}")
    return [run for run in runs if run.state in states]
