"""Leader election: of several controllers on one ledger, one holds the lease and renews it.

Whatever the clocks show, only one writes: the ledger refuses the writes of a former leader in the
same transaction. The lease only decides how soon a dead leader is replaced; on the same machine,
where its death can be observed, at once. A standby counts by its own monotonic clock: a lease that
was not renewed for its whole duration has expired, whatever time is written in it.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ntlbg_service.ledger.leadership import Written
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.transactions import LeadershipLostError, Term
from ntlbg_service.storage.claims import claim_of_this_process, lives

LEASE_SECONDS = 30.0
"""Seconds for which a leader that was cut off keeps others waiting."""
RENEWALS = 3
"""Number of renewals within the duration of a lease."""
FRESH = 1.0
"""Seconds after a renewal in which a check reads the lease and does not renew it."""


A_MOMENT = 0.02
"""Seconds for which a check stays valid; as much may pass between any check and its effect."""


def this_process() -> str:
    """Return this process's name, unique among controllers and enough to detect its death."""
    own = claim_of_this_process()
    return f"{socket.gethostname()}/{_namespace()}/{own['pid']}/{own['started']:.2f}@{own['boot']}"


def in_words(holder: str) -> str:
    """Return a holder's name for people: `process 123 on host`."""
    parts = holder.split("/")
    return f"process {parts[2]} on {parts[0]}" if len(parts) == 4 else holder


def seen_dead(holder: str) -> bool:
    """Return True if the holder is a process of this machine that no longer exists."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[:2] != [socket.gethostname(), _namespace()]:
        return False
    started, _, boot = parts[3].partition("@")
    claim = {"pid": parts[2], "started": started} | ({"boot": boot} if boot else {})
    return not lives(claim)


def _namespace() -> str:
    """Return the id of the PID namespace: two containers may share a host name."""
    own = Path("/proc/self/ns/pid")
    return str(own.stat().st_ino) if own.exists() else "0"


@dataclass
class Lease:
    """The claim of one process to leadership."""

    ledger: Ledger
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    holder: str = field(default_factory=this_process)
    seconds: float = LEASE_SECONDS
    term: Term | None = None
    """Current term while it leads, as far as it knows; else None."""
    _renewed: float = 0.0
    _checked: float | None = None
    """Time of the last check."""
    _waited: tuple[Written, float] | None = None
    """Another's lease as read, and since when it is unchanged, by this clock."""

    @property
    def renewed_at(self) -> float | None:
        """Time of the last acquisition or renewal, by its clock; None where it does not lead."""
        return None if self.term is None else self._renewed

    def hold(self) -> bool:
        """Acquire the lease if it is free, or renew it; return True if this process leads."""
        if self.term is not None and self.clock() - self._renewed < self.seconds / RENEWALS:
            return True
        if self.term is None or not self._renew():
            self.term, self._checked = self._take(), None
            self._renewed = self.clock()
        return self.term is not None

    def check(self) -> None:
        """Raise LeadershipLostError where another leads by now.

        Otherwise no other can take over by expiry until nearly the whole lease has passed.
        """
        now = self.clock()
        if self.term is not None and self._checked is not None and now - self._checked < A_MOMENT:
            return
        if self.term is None or not self._still(self.term):
            self.term = self._checked = None
            raise LeadershipLostError(f"{in_words(self.holder)} leads no more")
        self._checked = now

    def _still(self, term: Term) -> bool:
        """Return True if the ledger confirms the term; renew a lease that is not fresh."""
        if self.clock() - self._renewed < FRESH:
            return self.ledger.holds(term)
        return self._renew()

    def release(self) -> None:
        """Release the lease; a successor can take over at once."""
        if self.term is not None:
            self.ledger.resign(self.term)
            self.term = self._checked = None

    def _renew(self) -> bool:
        assert self.term is not None
        self._renewed = self.clock()
        return self.ledger.renew(self.term, self.seconds)

    def _take(self) -> Term | None:
        left = self.ledger.written()
        free = left.holder in ("", self.holder) or seen_dead(left.holder)
        if free or self._run_out(left):
            return self.ledger.succeed(left, self.holder, self.seconds)
        return None

    def _run_out(self, left: Written) -> bool:
        """Return True if another's lease has not been renewed for its whole duration."""
        now = self.clock()
        if self._waited is None or self._waited[0] != left:
            self._waited = (left, now)
        return now - self._waited[1] >= (left.seconds or self.seconds)
