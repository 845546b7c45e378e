"""Who leads: a lease in the database with an epoch that only grows.

Safety is in the epoch, not in clocks: a ledger under a term writes nothing once another term began,
whatever any clock says. Clocks decide only how soon a dead leader's place is free.
"""

from sqlalchemy import or_, select, update

from ntlbg_service.ledger.tables import leadership
from ntlbg_service.ledger.transactions import Term, Transactions


class Leadership(Transactions):
    """Taking, keeping and giving back the lead of a ledger."""

    def lead(self, holder: str, seconds: float) -> Term | None:
        """Take the lead for some seconds where it is free or expired; None where another has it.

        `holder` names one process. Where it leads already, its earlier term ends.
        """
        with self._transaction(writes=True) as connection:
            now = self._clock()
            done = connection.execute(
                update(leadership)
                .where(or_(leadership.c.expires_at <= now, leadership.c.holder == holder))
                .values(holder=holder, epoch=leadership.c.epoch + 1, expires_at=now + seconds)
            )
            if done.rowcount == 0:
                return None
            epoch = connection.execute(select(leadership.c.epoch)).scalar_one()
        return Term(holder=holder, epoch=epoch)

    def renew(self, term: Term, seconds: float) -> bool:
        """Lead for some seconds from now. False where the term is over.

        A lease that ran out and that nobody took is still its holder's to renew.
        """
        return self._change(term, {"expires_at": self._clock() + seconds})

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
