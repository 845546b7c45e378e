"""MLflow filled again from ledger and storage, and where it disagrees with them."""

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
"""How long one word to MLflow may take before another process may take over."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A run that MLflow shows otherwise than the ledger."""

    run: RunSummary
    shown: tuple[str, ...]
    """What MLflow shows: nothing where it has no such run, several where it has it twice."""

    @property
    def words(self) -> str:
        """One line."""
        shown = " and ".join(self.shown) or "no such run"
        return f"{self.run.label}  {self.run.run_id}  {self.run.state}, MLflow shows {shown}"


def disagreements(
    ledger: Ledger, tracker: Tracker, suites: Sequence[str]
) -> tuple[Disagreement, ...]:
    """Every run that was ever started and that MLflow lacks, has twice, or shows in another state.

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
    """Put everything that MLflow should know of the suites into the outbox; says how much."""
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
    """Empty the outbox as the leader, so that nobody else tells MLflow the same meanwhile.

    False where another leads: it tells. What MLflow refuses is set aside (`Ledger.refused`). Raises
    InfrastructureError where MLflow did not answer: what was not told stays in the outbox.
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
    """Open again what runs and was ended in MLflow alone. Raises TrackingError."""
    for each in found:
        running = each.run.state is RunState.RUNNING
        if running and len(each.shown) == 1:
            tracker.reopened(each.run.run_id)


def _started(ledger: Ledger, suite: str) -> list[RunSummary]:
    """Runs of a suite, repeated ones too, that MLflow was told of: those with an attempt."""
    ids = [name.run_id for name in ledger.names(suite)]
    attempts = ledger.attempts_by_run(ids)
    return list(ledger.summaries([run_id for run_id in ids if attempts[run_id]]))
