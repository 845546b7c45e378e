"""Who may act on whose runs, decided in the transaction that would act: the one place for it.

Every wish, from whatever client, becomes true through here, and a controller fulfils only what is
written. Who can write to the database by other means is not held up: this is against accidents.
"""

from sqlalchemy import Connection, delete, select

from ntlbg_service.domain.users import check_operator, check_owner
from ntlbg_service.ledger.database import insert_of
from ntlbg_service.ledger.records import Operator
from ntlbg_service.ledger.tables import operators
from ntlbg_service.ledger.transactions import Transactions


class Operators(Transactions):
    """The users who may act on everybody's runs and on nodes."""

    def operators(self) -> dict[str, Operator]:
        """Every operator, by name."""
        with self._reading() as connection:
            rows = connection.execute(select(operators).order_by(operators.c.name)).mappings()
            return {row["name"]: Operator(**row) for row in rows}

    def add_operator(self, name: str, who: str) -> bool:
        """Let a user act on everybody's runs. False where that was so already.

        The first is named by anyone, others by operators. Raises NotAllowedError.
        """
        with self._writing() as connection:
            self._check_operator(connection, who, f"make {name} an operator")
            values = {"name": name, "since": self._clock(), "who": who}
            add = insert_of(connection)(operators).values(values).on_conflict_do_nothing()
            return connection.execute(add.returning(operators.c.name)).first() is not None

    def remove_operator(self, name: str, who: str) -> bool:
        """Take that back. False where the user is none. Raises NotAllowedError."""
        with self._writing() as connection:
            self._check_operator(connection, who, f"remove the operator {name}")
            done = connection.execute(delete(operators).where(operators.c.name == name))
            return done.rowcount > 0

    def _check_operator(self, connection: Connection, who: str, doing: str) -> None:
        check_operator(who, doing, self._names(connection))

    def _check_owner(
        self, connection: Connection, who: str, owner: str, run: str, doing: str
    ) -> None:
        if who != owner:
            check_owner(who, owner, run, doing, self._names(connection))

    def _names(self, connection: Connection) -> tuple[str, ...]:
        found = connection.execute(select(operators.c.name).order_by(operators.c.name))
        return tuple(row.name for row in found)
