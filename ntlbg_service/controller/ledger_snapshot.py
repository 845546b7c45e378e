"""Runs and attempts of the ledger in the form that the scheduler takes."""

from collections.abc import Sequence

from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.cluster import Cluster, Job, Placement, Running
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Waiting

OVERDUE = 0.1
"""Share of its predicted hours that an overdue run is assumed to need still."""
A_SECOND = 1 / 3600
"""Minimum of hours that a running attempt is assumed to need still."""


class LedgerSnapshot:
    """Snapshot of the ledger: the owners of runs, the active attempts, the drained nodes."""

    def __init__(self, ledger: Ledger, caps: Caps) -> None:
        self._now = ledger.now()
        self._active = ledger.active_attempts()
        self._owners = ledger.owners_of_active()
        self._drained = frozenset(ledger.drained())
        self._caps = caps

    def cluster(self, nodes: Sequence[Node]) -> Cluster:
        """Return the nodes with the attempts that run on them."""
        running = tuple(self._running(attempt) for attempt in self._active)
        return Cluster(nodes=tuple(nodes), running=running, drained=self._drained)

    def job_of(self, run: Waiting) -> Job:
        """Return the job of a waiting run."""
        return Job(
            run_id=run.run_id,
            fits=run.fits,
            group=run.group,
            priority=run.priority,
            submitted=run.submitted / 3600,
            suite=run.suite_key,
            caps=self._caps.of(run.submitter, run.suite_key),
            excluded=frozenset(run.excluded),
        )

    def _running(self, attempt: Attempt) -> Running:
        """Return an attempt as the resources that it holds.

        One that takes longer than predicted may end any time, but not at once.
        """
        left = attempt.fit.hours - (self._now - attempt.launched_at) / 3600
        return Running(
            placement=Placement(run_id=attempt.run_id, fit=attempt.fit, nodes=attempt.nodes),
            hours=max(left, OVERDUE * attempt.fit.hours, A_SECOND),
            caps=self._caps.of(*self._owners.get(attempt.run_id, ("", ""))),
        )
