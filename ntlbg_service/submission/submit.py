"""Submission of a prepared suite: a code snapshot in storage, then the runs in the ledger."""

from collections.abc import Sequence
from dataclasses import replace

from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import NewRun, Submission
from ntlbg_service.storage.local import Storage
from ntlbg_service.submission.code_snapshot import ship
from ntlbg_service.submission.prepared import Prepared


def submit(
    ledger: Ledger,
    storage: Storage,
    prepared: Prepared,
    again: str | None = None,
    priority: int = 0,
    max_hours: float | None = None,
) -> Submission:
    """Store the code snapshot, then record the runs in the ledger.

    `again` ('all' or 'failed') queues a repetition of ended runs. New runs with a higher
    `priority` go first. `max_hours` overrides the limit in the suite file.
    """
    for version in sorted({str(run.details["code"]) for run in prepared.runs}):
        ship(storage, version)
    newest = _newest(ledger, prepared.runs, again)
    asked = [
        replace(run, priority=priority, max_hours=max_hours or run.max_hours) for run in newest
    ]
    return ledger.submit(prepared.suite, asked)


def _newest(ledger: Ledger, runs: Sequence[NewRun], again: str | None) -> list[NewRun]:
    """Return the newest repetition of each run, or a further one if `again` requests it."""
    over = {"all": TERMINAL, "failed": TERMINAL - {RunState.FINISHED}, None: frozenset()}[again]
    newest = list(runs)
    left = list(range(len(newest)))
    states = ledger.states([run.identity.run_id for run in newest])
    while left := [place for place in left if newest[place].identity.run_id in states]:
        following = {place: _repetition(newest[place]) for place in left}
        found = ledger.states([run.identity.run_id for run in following.values()])
        for place, run in following.items():
            more = run.identity.run_id in found
            if more or states[newest[place].identity.run_id] in over:
                newest[place] = run
        states = found
    return newest


def _repetition(run: NewRun) -> NewRun:
    return replace(run, identity=replace(run.identity, repetition=run.identity.repetition + 1))
