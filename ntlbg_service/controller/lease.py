"""Of several controllers on one ledger, one leads: it holds the lease and renews it.

Whatever a clock says, only one writes: the ledger refuses a deposed leader's writes in the same
transaction. The lease decides how soon a dead leader's place is free; on the same machine, where
its death can be seen, at once. Who stands by counts by its own monotonic clock: a lease that was
not renewed for as long as it lasts is over, whatever time is written in it.
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
"""How long a leader that was cut off keeps others waiting."""
RENEWALS = 3
"""How often a lease is renewed within its time."""
FRESH = 1.0
"""Seconds for which a renewed lease is as good as new: it is read whether it holds, not written."""


A_MOMENT = 0.02
"""Seconds for which the answer to a check counts; as much may pass between any check and what it
was made for."""


def this_process() -> str:
    """Name of this process among all controllers, by which its death can be seen."""
    own = claim_of_this_process()
    return f"{socket.gethostname()}/{_namespace()}/{own['pid']}/{own['started']:.2f}@{own['boot']}"


def in_words(holder: str) -> str:
    """A leader for people: `process 123 on host`."""
    parts = holder.split("/")
    return f"process {parts[2]} on {parts[0]}" if len(parts) == 4 else holder


def seen_dead(holder: str) -> bool:
    """Whether this is a process of this machine that is there no more."""
    parts = holder.split("/")
    if len(parts) != 4 or parts[:2] != [socket.gethostname(), _namespace()]:
        return False
    started, _, boot = parts[3].partition("@")
    claim = {"pid": parts[2], "started": started} | ({"boot": boot} if boot else {})
    return not lives(claim)


def _namespace() -> str:
    """Process ids mean the same within one: two containers may share a host's name."""
    own = Path("/proc/self/ns/pid")
    return str(own.stat().st_ino) if own.exists() else "0"


@dataclass
class Lease:
    """One process's claim to lead."""

    ledger: Ledger
    clock: Callable[[], float]
    """Monotonic seconds."""
    holder: str = field(default_factory=this_process)
    seconds: float = LEASE_SECONDS
    term: Term | None = None
    """While it leads, as far as it knows."""
    _renewed: float = 0.0
    _checked: float | None = None
    """When it was checked last."""
    _waited: tuple[Written, float] | None = None
    """Another's lease as it was read, and since when it is unchanged, by this clock."""

    @property
    def renewed_at(self) -> float | None:
        """When it was taken or renewed last, by its clock; None where it does not lead."""
        return None if self.term is None else self._renewed

    def hold(self) -> bool:
        """Take the lead where it is free, keep it where it is ours."""
        if self.term is not None and self.clock() - self._renewed < self.seconds / RENEWALS:
            return True
        if self.term is None or not self._renew():
            self.term, self._checked = self._take(), None
            self._renewed = self.clock()
        return self.term is not None

    def check(self) -> None:
        """Raise LeadershipLostError where another leads by now. Else nobody takes the lead by time
        alone until nearly the whole lease is over."""
        now = self.clock()
        if self.term is not None and self._checked is not None and now - self._checked < A_MOMENT:
            return
        if self.term is None or not self._still(self.term):
            self.term = self._checked = None
            raise LeadershipLostError(f"{in_words(self.holder)} leads no more")
        self._checked = now

    def _still(self, term: Term) -> bool:
        """Whether it leads, by the ledger's word; renewed anew where that is a moment ago."""
        if self.clock() - self._renewed < FRESH:
            return self.ledger.holds(term)
        return self._renew()

    def release(self) -> None:
        """Stop leading; the next takes over at once."""
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
        """Whether another's lease has not been renewed for as long as it lasts."""
        now = self.clock()
        if self._waited is None or self._waited[0] != left:
            self._waited = (left, now)
        return now - self._waited[1] >= (left.seconds or self.seconds)
