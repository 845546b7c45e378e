"""Leading for as long as it may: take the lease, drive the runs, tell MLflow, stand by else."""

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
"""Seconds after which the same trouble is said again."""


@dataclass
class Service:
    """Everything a controller process has; what it drives with is made anew for each term."""

    ledger: Ledger
    storage: Storage
    executor: Executor
    tracker: Tracker
    workspace: Workspace
    ground: ClusterView
    lease: Lease
    clock: Callable[[], float]
    """Monotonic seconds."""
    keep: int | None = KEPT
    """Newest checkpoints of a run that stay while it goes on, beside the best; None: all."""
    caps: Caps = field(default_factory=Caps)
    """How many GPUs whoever may hold at once."""
    webhook: Webhook | None = None
    """Who is told what becomes of runs."""
    notify_on: Collection[RunState] = ALL
    """In which states."""
    suite_key: str | None = None
    """Only the runs of this suite are started."""
    patience: Timeouts = field(default_factory=Timeouts)
    note: Callable[[str], None] = lambda _: None
    """Told in one line what happens."""
    at_point: Callable[[str], None] = lambda _: None
    """The door's (`FaultPoints.at_point`)."""
    loop_metrics: LoopMetrics = field(default_factory=LoopMetrics)
    """What it leaves for those who watch it."""
    _term: Term | None = field(default=None, init=False)
    _troubles: dict[str, float] = field(default_factory=dict, init=False)
    """What went wrong in the last minute, and when that was said."""

    def step(self) -> bool:
        """Lead one step where it leads. False when it leads and every run it drives has ended."""
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
        """Say what went wrong; what goes on is not said every second."""
        now = self.clock()
        recent = {what: at for what, at in self._troubles.items() if now - at < SAID_AGAIN}
        if said not in recent:
            recent[said] = now
            self.note(f"{said}; tried again")
        self._troubles = recent

    def _work(self) -> bool:
        try:
            going = self.controller.step()
            # The end of the one suite is told by `flush`, with what is written of it then.
            if going or self.suite_key is None:
                self.publisher.step()
            return going
        finally:
            if self.notifier is not None and self.leads:
                self.notifier.step()

    @property
    def leads(self) -> bool:
        """Whether it led when it looked last."""
        return self.lease.term is not None

    def flush(self) -> bool:
        """Tell MLflow and receivers the rest. False where MLflow did not take some; receivers are
        waited for a moment, and the next controller tells them what is left."""
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
        """Who leads, for people."""
        with suppress(InfrastructureError):
            return in_words(self.ledger.leader() or "nobody")
        return "somebody"

    def resign(self) -> None:
        """Stop leading; where the ledger does not answer, the lease ends by itself."""
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
            patience=self.patience,
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
