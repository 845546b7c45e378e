"""Consumer of the outbox: it sends entries to MLflow in order, at least once.

A failed entry does not block other runs. The entry can be at fault, or the server: an entry whose
content MLflow rejects is set aside, with the reason. Where the server does not answer, or the
answer is not MLflow's, the run's entries wait and are retried. A server may also fail at one entry
alone (an error 500 for its content): one that fails repeatedly while others are accepted is set
aside as well.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from ntlbg_service.domain.errors import NtlbgError, UserError, in_one_line
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import OutboxEntry
from ntlbg_service.process.fault_points import FaultPoints
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.storage.confined import LeavesStorageError
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import CorruptRecordError, Storage, StorageUnavailableError
from ntlbg_service.tracking import RefusedError, Tracker, TrackingError
from ntlbg_service.tracking.recording import STATUS, Telling

__all__ = ["STATUS", "Publisher"]

RETRY_SECONDS = 10.0
"""Pause after MLflow did not answer, and the first pause of a run after a failed entry."""
LONGEST_PAUSE = 600.0
"""Limit of a run's pause, which doubles with each failure."""
BUSY_SECONDS = 1.0
"""Seconds that one step may send, so that runs are examined in between."""
AT_ONCE = 500
"""Entries read per page; a step sends fewer within its second."""
LIVE_SECONDS = 5.0
"""Interval at which the metrics of running attempts are published."""
IN_A_ROW = 3
"""Number of consecutive runs that fail before MLflow is left alone for a while."""
FAILURES = 5
"""Number of failures, with others accepted in between, after which an entry is set aside."""


@dataclass
class _Pause:
    """Pause of a run whose oldest entry failed."""

    until: float
    seconds: float
    entry: int
    taken: int
    """Number of entries accepted by then."""
    failures: int = 0
    """Failures of this entry that had other entries accepted since the previous one."""


@dataclass
class Publisher:
    """Publisher of outbox entries; an entry stays unsent until MLflow has accepted it."""

    ledger: Ledger
    storage: Storage
    tracker: Tracker
    workspace: Workspace
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    door: FaultPoints = field(default_factory=FaultPoints)
    note: Callable[[str], None] = lambda _: None
    """Callback with one line about each entry that was set aside."""
    trouble: Callable[[str], None] = lambda _: None
    """Callback with one line about each failure of MLflow."""
    failure: str = ""
    """Reason of the last failure."""
    _quiet_until: float = 0.0
    _live_at: float = 0.0
    _lines: dict[str, int] = field(default_factory=dict)
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    """Pauses by the subject of their entries."""
    _taken: int = 0

    def step(self) -> None:
        """Post new metrics and send for a moment; pause after failures."""
        now = self.clock()
        if now >= self._live_at:
            self._live_at = now + LIVE_SECONDS
            self._note_live()
        if now >= self._quiet_until:
            taken = self._send_all(now)
            if taken and not taken[-1]:
                self._quiet_until = now + RETRY_SECONDS

    def flush(self, going: Callable[[], bool] = lambda: True) -> bool:
        """Send all entries while `going()`; return False where some failed and are to be retried.

        Rejected entries are set aside and do not count as failures.
        """
        return all(self._send_all(None, going))

    def _send_all(
        self, since: float | None, going: Callable[[], bool] = lambda: True
    ) -> list[bool]:
        """Send waiting entries; return for each entry tried whether it is settled.

        With `since`, it sends for a second from then on and skips paused runs. It stops early where
        MLflow does not answer, or fails at several runs one after another.
        """
        taken: list[bool] = []
        failed: set[str] = set()
        for entry in self._waiting():
            pause = self._pauses.get(entry.about)
            if entry.about in failed or (pause and since is not None and since < pause.until):
                continue
            if not going():
                break
            failure = self._attempt(entry)
            taken.append(failure is None)
            if failure is not None:
                failed.add(entry.about)
                at_none = len(failed) >= IN_A_ROW and not any(taken[-IN_A_ROW:])
                if at_none or not failure.answered:
                    break
            if since is not None and self.clock() - since >= BUSY_SECONDS:
                break
        return taken

    def _waiting(self) -> Iterator[OutboxEntry]:
        """Yield the unsent entries, oldest first, up to the newest at this time."""
        after = 0
        while page := self.ledger.unsent(AT_ONCE, after):
            yield from page
            if len(page) < AT_ONCE:
                return
            after = page[-1].id

    def _note_live(self) -> None:
        for attempt in self.ledger.active_attempts():
            keys = AttemptKeys(attempt.run_id, attempt.number)
            count = self._lines.get(keys.folder, 0)
            with suppress(StorageUnavailableError):  # Reported when the run's entry is sent.
                count = sum(1 for _ in self.storage.lines(keys.metrics))
            if count > self._lines.get(keys.folder, 0):
                self._lines[keys.folder] = count
                suite_key = self.ledger.run(attempt.run_id).suite_key
                self.ledger.post("run_metrics", suite_key, attempt.run_id)

    def _attempt(self, entry: OutboxEntry) -> TrackingError | None:
        """Send one entry or set it aside; return the failure after which it is retried."""
        name = f"{entry.topic} {entry.id}"
        try:
            self.door.external_effect(f"send {name}", lambda: self._tell(entry))
        except (RefusedError, UserError) as error:
            self._set_aside(entry, str(error))
            return None
        except TrackingError as error:
            return self._wait(entry, error)
        self.door.ledger_effect(f"sent {name}", lambda: self.ledger.sent(entry))
        self._pauses.pop(entry.about, None)
        self._taken += 1
        return None

    def _tell(self, entry: OutboxEntry) -> None:
        """Send an entry. A rejected one is sent again, since cached MLflow ids may be stale.

        Before the second try, MLflow has to answer an ordinary query.
        """
        telling = Telling(
            ledger=self.ledger,
            storage=self.storage,
            tracker=self.tracker,
            workspace=self.workspace,
        )
        try:
            try:
                telling.tell(entry)
            except RefusedError:
                self.tracker.ask()
                telling.tell(entry)
        except (CorruptRecordError, LeavesStorageError) as error:
            raise RefusedError(str(error)) from error
        except StorageUnavailableError as error:
            raise TrackingError(str(error)) from error
        except NtlbgError:
            raise
        # A run's files in storage may hold anything; an error from them concerns this run alone.
        except Exception as error:
            said = in_one_line(f"{type(error).__name__}: {error}")
            raise RefusedError(f"cannot be told: {said}") from error

    def _set_aside(self, entry: OutboxEntry, why: str) -> None:
        said = in_one_line(why)
        self.ledger.set_aside(entry, said)
        self._pauses.pop(entry.about, None)
        self.note(
            f"{entry.topic} of {entry.about} is set aside: {said}; 'ntlbg mlflow resend' repeats it"
        )

    def _wait(self, entry: OutboxEntry, failure: TrackingError) -> TrackingError | None:
        """Pause a run; return None where its entry was set aside, since MLflow accepts others."""
        said = str(failure)
        before = self._pauses.get(entry.about)
        if before is not None and before.entry != entry.id:
            before = None
        seconds = min(2 * before.seconds, LONGEST_PAUSE) if before else RETRY_SECONDS
        failures = before.failures if before else 0
        if before is not None and self._taken > before.taken and not failure.denied:
            failures += 1
        if failures + 1 >= FAILURES:
            self._set_aside(entry, f"failed {failures + 1} times while others were taken: {said}")
            return None
        self.ledger.not_sent(entry, said)
        self._pauses[entry.about] = _Pause(
            until=self.clock() + seconds,
            seconds=seconds,
            entry=entry.id,
            taken=self._taken,
            failures=failures,
        )
        self.failure = said
        self.trouble(said)
        return failure
