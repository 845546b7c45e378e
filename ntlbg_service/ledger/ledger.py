"""The ledger, whole. Each operation is one transaction; intent is written before side effects."""

from ntlbg_service.ledger.attempt_ends import Ending
from ntlbg_service.ledger.attempt_intervals import Holding
from ntlbg_service.ledger.attempt_starts import AttemptStarts
from ntlbg_service.ledger.database import is_sqlite
from ntlbg_service.ledger.draining import Draining
from ntlbg_service.ledger.leadership import Leadership
from ntlbg_service.ledger.listing import Listing
from ntlbg_service.ledger.news import PostgresNews
from ntlbg_service.ledger.queries import Queries
from ntlbg_service.ledger.run_requests import Wishes
from ntlbg_service.ledger.stats import Counting
from ntlbg_service.ledger.submitting import Submitting
from ntlbg_service.ledger.transactions import Term


class Ledger(
    Submitting,
    AttemptStarts,
    Ending,
    Wishes,
    Draining,
    Counting,
    Queries,
    Listing,
    Holding,
    Leadership,
):
    """The durable queue and its history."""

    def now(self) -> float:
        """The ledger's clock, seconds since the epoch: what its times are measured by."""
        return self._clock()

    def news(self) -> PostgresNews | None:
        """What tells of submissions and wishes from other machines; None for a file."""
        return None if is_sqlite(self._engine.dialect) else PostgresNews(self._engine)

    def close(self) -> None:
        """Close its connections; the next operation opens them again."""
        self._engine.dispose()

    def under(self, term: Term) -> "Ledger":
        """The same ledger, which writes only as long as `term` holds; else it raises
        LeadershipLostError.

        Whether the term holds is checked in each writing transaction itself, and a new term waits
        for that transaction's end: no write of a deposed leader is ever seen.
        """
        return Ledger(self._engine, self._clock, term)
