"""Who leads: a lease in the database with an epoch that only grows.

Safety is in the epoch, not in clocks: a ledger under a term writes nothing once another term began,
whatever any clock says. Clocks decide only how soon a dead leader's place is free.
"""

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, or_, select, update

from ntlbg_service.ledger.tables import leadership
from ntlbg_service.ledger.transactions import Term, Transactions


class Written(NamedTuple):
    """A lease as it was written last: each renewal writes another one."""

    holder: str
    epoch: int
    expires_at: float
    """By the clock of whoever wrote it."""
    seconds: float
    """How long it lasts from each renewal; 0 where older code wrote it."""


class Leadership(Transactions):
    """Taking, keeping and giving back the lead of a ledger."""

    def lead(self, holder: str, seconds: float) -> Term | None:
        """Take the lead for some seconds where it is free or expired; None where another has it.

        `holder` names one process. Where it leads already, its earlier term ends.
        """
        now = self._clock()
        free = or_(leadership.c.expires_at <= now, leadership.c.holder == holder)
        return self._take(free, holder, seconds, now)

    def succeed(self, left: Written, holder: str, seconds: float) -> Term | None:
        """Take the lead from a lease that was left as it is, whatever time is written in it. None
        where it was renewed or taken meanwhile."""
        same = (leadership.c[name] == value for name, value in left._asdict().items())
        return self._take(and_(*same), holder, seconds, self._clock())

    def written(self) -> Written:
        """The lease as it is now."""
        columns = (leadership.c[name] for name in Written._fields)
        with self._reading() as connection:
            return Written(*connection.execute(select(*columns)).one())

    def _take(
        self, free: ColumnElement[bool], holder: str, seconds: float, now: float
    ) -> Term | None:
        taken = update(leadership).where(free)
        taken = taken.values(holder=holder, epoch=leadership.c.epoch + 1)
        with self._transaction(writes=True) as connection:
            done = connection.execute(taken.values(expires_at=now + seconds, seconds=seconds))
            if done.rowcount == 0:
                return None
            epoch = connection.execute(select(leadership.c.epoch)).scalar_one()
        return Term(holder=holder, epoch=epoch)

    def renew(self, term: Term, seconds: float) -> bool:
        """Lead for some seconds from now. False where the term is over.

        A lease that ran out and that nobody took is still its holder's to renew.
        """
        return self._change(term, {"expires_at": self._clock() + seconds, "seconds": seconds})

    def holds(self, term: Term) -> bool:
        """Whether no other term has begun since."""
        query = select(leadership.c.holder, leadership.c.epoch)
        with self._reading() as connection:
            return tuple(connection.execute(query).one()) == (term.holder, term.epoch)

    def resign(self, term: Term) -> None:
        """Give the lead back, so that the next takes it at once. Nothing where the term is over."""
        self._change(term, {"holder": "", "expires_at": 0.0})

    def leader(self) -> str | None:
        """Who leads now, for people; None where the lead is free or ran out."""
        with self._reading() as connection:
            row = connection.execute(select(leadership)).one()
        return row.holder if row.holder and row.expires_at > self._clock() else None

    def _change(self, term: Term, values: dict[str, object]) -> bool:
        mine = (leadership.c.holder == term.holder, leadership.c.epoch == term.epoch)
        with self._transaction(writes=True) as connection:
            done = connection.execute(update(leadership).where(*mine).values(values))
        return done.rowcount == 1
