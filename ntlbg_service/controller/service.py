"""The controller process: hold the lease, drive the runs, update MLflow; else stand by."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from ntlbg_service.controller import Controller
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.lease import Lease, in_words
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.retention import KEPT
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.states import RunState
from ntlbg_service.executors.contract import Executor
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.transactions import LeadershipLostError, Term
from ntlbg_service.monitoring.loop_metrics import LoopMetrics
from ntlbg_service.notifications.notifier import ALL, Notifier
from ntlbg_service.notifications.webhook import Webhook
from ntlbg_service.process.fault_points import FaultPoints
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.local import Storage
from ntlbg_service.tracking import Tracker
from ntlbg_service.tracking.publisher import Publisher

SAID_AGAIN = 60.0
"""Seconds after which the same error is reported again."""


@dataclass
class Service:
    """A controller process; controller, publisher and notifier are recreated for each term."""

    ledger: Ledger
    storage: Storage
    executor: Executor
    tracker: Tracker
    workspace: Workspace
    ground: ClusterView
    lease: Lease
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    keep: int | None = KEPT
    """Number of newest checkpoints to keep per active run, besides the best; None keeps all."""
    caps: Caps = field(default_factory=Caps)
    """Limits on the GPUs that a user or a suite may hold at once."""
    webhook: Webhook | None = None
    """Receiver of notifications about runs; None for none."""
    notify_on: Collection[RunState] = ALL
    """States of runs that are notified."""
    suite_key: str | None = None
    """Suite whose runs alone are started; None for all."""
    timeouts: Timeouts = field(default_factory=Timeouts)
    note: Callable[[str], None] = lambda _: None
    """Callback with one line about each event."""
    at_point: Callable[[str], None] = lambda _: None
    """Callback of the fault points (`FaultPoints.at_point`)."""
    loop_metrics: LoopMetrics = field(default_factory=LoopMetrics)
    """Metrics of the loop, for monitoring."""
    _term: Term | None = field(default=None, init=False)
    _troubles: dict[str, float] = field(default_factory=dict, init=False)
    """Errors of the last minute, with the time at which each was reported."""

    def step(self) -> bool:
        """Run one step if it leads; return False once it leads and all its runs have ended."""
        with self.loop_metrics.step():
            going = self._step()
        self.loop_metrics.leads, self.loop_metrics.renewed_at = self.leads, self.lease.renewed_at
        return going

    def _step(self) -> bool:
        try:
            if not self.lease.hold():
                return True
            self._start_term()
            going = self._work()
        except LeadershipLostError as error:
            self.lease.term = None
            self.note(str(error))
        except InfrastructureError as error:
            self._note_trouble(str(error))
        else:
            return going
        return True

    def _note_trouble(self, said: str) -> None:
        """Report an error, unless it was reported within the last `SAID_AGAIN` seconds."""
        now = self.clock()
        recent = {what: at for what, at in self._troubles.items() if now - at < SAID_AGAIN}
        if said not in recent:
            recent[said] = now
            self.note(f"{said}; tried again")
        self._troubles = recent

    def _work(self) -> bool:
        try:
            going = self.controller.step()
            # `flush` publishes the end of a single suite, together with the report written by then.
            if going or self.suite_key is None:
                self.publisher.step()
            return going
        finally:
            if self.notifier is not None and self.leads:
                self.notifier.step()

    @property
    def leads(self) -> bool:
        """True if it led at the last check."""
        return self.lease.term is not None

    def flush(self) -> bool:
        """Publish the rest to MLflow and to receivers; return False where MLflow did not take some.

        Receivers are waited for briefly; the next controller notifies them of what is left.
        """
        try:
            told = self.publisher.flush()
        except LeadershipLostError as error:
            self.lease.term = None
            self.note(str(error))
            return False
        except InfrastructureError as error:
            self._note_trouble(str(error))
            return False
        if told and self.notifier is not None:
            with suppress(InfrastructureError):
                self.notifier.flush()
        return told

    def leader(self) -> str:
        """Return the name of the leader, for people."""
        with suppress(InfrastructureError):
            return in_words(self.ledger.leader() or "nobody")
        return "somebody"

    def resign(self) -> None:
        """Release the lease; where the ledger does not answer, the lease expires."""
        with suppress(InfrastructureError):
            self.lease.release()

    def _start_term(self) -> None:
        term = self.lease.term
        if term is None or term == self._term:
            return
        ledger = self.ledger.under(term)
        ledger.pass_on_notices(self.webhook is not None)
        door = FaultPoints(at_point=self.at_point, leads=self.lease.check)
        self.controller = Controller(
            effects=Effects(
                ledger=ledger,
                storage=self.storage,
                executor=self.executor,
                door=door,
                note=self.note,
            ),
            workspace=self.workspace,
            ground=self.ground,
            clock=self.clock,
            keep=self.keep,
            suite_key=self.suite_key,
            timeouts=self.timeouts,
            caps=self.caps,
            alive=self.loop_metrics.beat,
            decided=self.loop_metrics.decided,
        )
        self.publisher = Publisher(
            ledger,
            self.storage,
            self.tracker,
            self.workspace,
            self.clock,
            door,
            note=self.note,
            trouble=self._note_trouble,
        )
        self.notifier = self._notifier(ledger, door)
        self._term = term

    def _notifier(self, ledger: Ledger, door: FaultPoints) -> Notifier | None:
        if self.webhook is None:
            return None
        return Notifier(ledger, self.webhook, self.clock, self.notify_on, door, self.note)
