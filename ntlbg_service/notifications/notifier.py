"""At-least-once delivery of the ledger's notices to a webhook, concurrent with the controller.

A separate thread only sends, so a slow or unreachable receiver delays notices and nothing else.
The controller's own thread acknowledges delivered notices, under its term. If the controller dies
between delivery and acknowledgement, the next one sends the notice again with the same id.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

from ntlbg_service.domain.notice import Notice
from ntlbg_service.domain.states import RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.notifications.webhook import UndeliveredError, Webhook
from ntlbg_service.process.fault_points import FaultPoints

FIRST_WAIT_SECONDS = 5.0
"""Delay before a retry after a failed delivery; each consecutive failure doubles it."""
LONGEST_WAIT_SECONDS = 600.0
DOUBLINGS = 7
"""Number of doublings after which the longest delay is reached."""
AT_ONCE = 50
"""Largest number of notices in a batch, which one thread sends in order."""
LAST_SECONDS = 10.0
"""Time that a controller keeps sending when it exits normally."""

ALL = frozenset(RunState)


class DeliveryBatch:
    """A batch of notices that a thread is sending."""

    def __init__(self, webhook: Webhook, news: Sequence[Notice]) -> None:
        self.taken: SimpleQueue[str] = SimpleQueue()
        """Keys of the notices that the receiver accepted."""
        self.trouble: UndeliveredError | None = None
        self.failed: Notice | None = None
        """The notice that could not be delivered, whatever the reason."""
        self.over = Event()
        self._webhook, self._news = webhook, news
        Thread(target=self._send, name="notices", daemon=True).start()

    def _send(self) -> None:
        try:
            for notice in self._news:
                self.failed = notice
                self._webhook.post(notice.payload)
                self.taken.put(notice.key)
            self.failed = None
        except UndeliveredError as error:
            self.trouble = error
        finally:
            self.over.set()


@dataclass
class Notifier:
    """Sender of the waiting notices, in order, with exponential backoff after failures."""

    ledger: Ledger
    webhook: Webhook
    clock: Callable[[], float]
    """Monotonic seconds."""
    states: Collection[RunState] = ALL
    """States to notify of; notices of runs and suites in other states are dropped."""
    door: FaultPoints = field(default_factory=FaultPoints)
    note: Callable[[str], None] = lambda _: None
    """Receiver of one-line messages about failures."""
    _flight: DeliveryBatch | None = field(default=None, init=False)
    _quiet_until: float = field(default=float("-inf"), init=False)
    _failures: int = field(default=0, init=False)
    _trouble: str = field(default="", init=False)

    def step(self) -> None:
        """Acknowledge delivered notices and send more, without waiting for the receiver."""
        flight = self._flight
        if flight is not None:
            over = flight.over.is_set()
            self._strike_off(flight)
            if not over:
                return
            self._flight = None
            self._look_back(flight)
        if self.clock() >= self._quiet_until:
            news = self._wanted()
            if news:
                self._flight = DeliveryBatch(self.webhook, news)

    def flush(self, seconds: float = LAST_SECONDS) -> bool:
        """Send all notices for at most `seconds`; return False if any are left."""
        until = self.clock() + seconds
        self.step()
        while self._flight is not None and self._flight.over.wait(max(until - self.clock(), 0.0)):
            self.step()
        left = self.ledger.number_of_notices()
        if left:
            self.note(f"{left} notices stay for the next controller that has --notify")
        return left == 0

    def _wanted(self) -> list[Notice]:
        """Return the next notices to send; acknowledge those of unwanted states unsent."""
        news = self.ledger.waiting_notices(AT_ONCE)
        unwanted = [notice.key for notice in news if notice.state not in self.states]
        if unwanted:
            self.ledger.notices_delivered(unwanted)
        return [notice for notice in news if notice.state in self.states]

    def _strike_off(self, flight: DeliveryBatch) -> None:
        keys = []
        while True:
            try:
                keys.append(flight.taken.get_nowait())
            except Empty:
                break
        if keys:
            self._failures = 0
            self.door.ledger_effect(
                f"notified {len(keys)}", lambda: self.ledger.notices_delivered(keys)
            )

    def _look_back(self, flight: DeliveryBatch) -> None:
        if flight.failed is None:
            self._trouble = ""
            return
        trouble = flight.trouble or UndeliveredError("one could not be sent", refused=True)
        if trouble.refused:
            self.ledger.notice_refused(flight.failed.key)
        wait = FIRST_WAIT_SECONDS * 2.0 ** min(self._failures, DOUBLINGS)
        self._failures += 1
        self._quiet_until = self.clock() + min(max(wait, trouble.wait), LONGEST_WAIT_SECONDS)
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            self.note(f"notices: {trouble}; tried again")
