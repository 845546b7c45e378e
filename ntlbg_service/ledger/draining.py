"""Nodes that nothing new is to start on: noted durably, kept to by whoever places runs."""

from sqlalchemy import delete, select

from ntlbg_service.ledger.database import insert_of
from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.operators import Operators
from ntlbg_service.ledger.records import Drain
from ntlbg_service.ledger.tables import drains
from ntlbg_service.ledger.transactions import kept


class Draining(Operators):
    """Draining nodes, and taking that back: for operators, where there are any.

    Both raise NotAllowedError for others.
    """

    def drain(self, node: str, who: str, reason: str = "") -> bool:
        """Let nothing new start on a node. False where it is drained already; the first stands."""
        values = {
            "node": kept(node),
            "since": self._clock(),
            "who": kept(who),
            "reason": kept(reason),
        }
        with self._writing() as connection:
            self._check_operator(connection, who, f"drain {node}")
            announce(connection)
            add = insert_of(connection)(drains).values(values).on_conflict_do_nothing()
            return connection.execute(add.returning(drains.c.node)).first() is not None

    def undrain(self, node: str, who: str) -> bool:
        """Let runs start on a node again. False where it was not drained."""
        with self._writing() as connection:
            self._check_operator(connection, who, f"undrain {node}")
            announce(connection)
            done = connection.execute(delete(drains).where(drains.c.node == kept(node)))
            return done.rowcount > 0

    def drained(self) -> dict[str, Drain]:
        """Every drained node, by name."""
        query = select(drains).order_by(drains.c.node)
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            return {row["node"]: Drain(**row) for row in rows}
