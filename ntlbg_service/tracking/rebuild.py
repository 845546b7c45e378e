"""Rebuild of MLflow from ledger and storage, and its differences from them."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.listing import RunFilter
from ntlbg_service.ledger.records import RunSummary
from ntlbg_service.tracking import Tracker
from ntlbg_service.tracking.publisher import Publisher
from ntlbg_service.tracking.recording import STATUS

LEASE_SECONDS = 60.0
"""Lease during a rebuild: the time one entry may take before another process can take over."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A run whose state in MLflow differs from the ledger."""

    run: RunSummary
    shown: tuple[str, ...]
    """States in MLflow: none where it has no such run, several where it has duplicates."""

    @property
    def words(self) -> str:
        """Description in one line."""
        shown = " and ".join(self.shown) or "no such run"
        return f"{self.run.label}  {self.run.run_id}  {self.run.state}, MLflow shows {shown}"


def disagreements(
    ledger: Ledger, tracker: Tracker, suites: Sequence[str]
) -> tuple[Disagreement, ...]:
    """Return every started run that MLflow lacks, has twice, or shows in another state.

    Raises TrackingError.
    """
    found = []
    for suite in suites:
        shown = tracker.statuses(suite)
        for run in _started(ledger, suite):
            here = tuple(shown.get(run.run_id, ()))
            if here != (STATUS.get(run.state, "running"),):
                found.append(Disagreement(run=run, shown=here))
    return tuple(found)


def note_all(ledger: Ledger, suites: Sequence[str]) -> int:
    """Post everything about the suites to the outbox; return the number of entries."""
    ledger.resend(suites=suites)
    noted = 0
    for suite in suites:
        started = _started(ledger, suite)
        for run in started:
            topic = "run_finished" if run.state in TERMINAL else "run_started"
            ledger.post(topic, suite, run.run_id)
        if started and ledger.count(RunFilter(suite=suite)).keys() <= TERMINAL:
            ledger.post("suite_finished", suite)
            noted += 1
        noted += len(started)
    return noted


def tell_all(ledger: Ledger, publisher: Publisher) -> bool:
    """Empty the outbox as the leader, so that no other process sends the same entries meanwhile.

    Returns False where another leads, which then sends them. What MLflow rejects is set aside
    (`Ledger.refused`). Raises InfrastructureError where MLflow did not answer: unsent entries stay
    in the outbox.
    """
    term = ledger.lead(f"mlflow rebuild on {socket.gethostname()}, {os.getpid()}", LEASE_SECONDS)
    if term is None:
        return False
    try:
        while ledger.unsent(1):
            told = publisher.flush(lambda: ledger.renew(term, LEASE_SECONDS))
            if not ledger.renew(term, LEASE_SECONDS):
                return False
            if not told:
                raise InfrastructureError(
                    f"{publisher.failure}; {ledger.figures().unsent} entries stay in the outbox "
                    "for the next try"
                )
    finally:
        ledger.resign(term)
    return True


def mend(tracker: Tracker, found: Sequence[Disagreement]) -> None:
    """Reopen runs that are running but ended in MLflow. Raises TrackingError."""
    for each in found:
        running = each.run.state is RunState.RUNNING
        if running and len(each.shown) == 1:
            tracker.reopened(each.run.run_id)


def _started(ledger: Ledger, suite: str) -> list[RunSummary]:
    """Return the runs of a suite, repeats included, that MLflow should have: started ones."""
    ids = [name.run_id for name in ledger.names(suite)]
    attempts = ledger.attempts_by_run(ids)
    return list(ledger.summaries([run_id for run_id in ids if attempts[run_id]]))
