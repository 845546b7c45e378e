"""News for receivers: noted in the transaction that made it true, kept until it is delivered.

Only while who led last passes news on: else it would pile up, and come all at once with the first
receiver that is named.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ntlbg_service.domain.notice import Notice
from ntlbg_service.domain.states import RunState
from ntlbg_service.ledger.tables import leadership, notices, runs, suites
from ntlbg_service.ledger.transactions import Transactions


class Notices(Transactions):
    """The outbox of news."""

    def pass_on_notices(self, wanted: bool) -> None:
        """Whether what happens from now on is noted for receivers; what is noted already stays."""
        with self._writing() as connection:
            connection.execute(update(leadership).values(notices=int(wanted)))

    def waiting_notices(self, most: int) -> tuple[Notice, ...]:
        """What was not delivered, oldest first; what its receiver has refused comes last."""
        query = (
            select(
                notices,
                *(runs.c.group_name, runs.c.variant, runs.c.seed),
                func.coalesce(runs.c.submitter, suites.c.submitter, "").label("submitter"),
            )
            .outerjoin(runs, runs.c.run_id == notices.c.run_id)
            .outerjoin(suites, suites.c.key == notices.c.suite_key)
            .order_by(notices.c.refused, notices.c.id)
            .limit(most)
        )
        with self._reading() as connection:
            return tuple(_notice_of(row) for row in connection.execute(query))

    def number_of_notices(self) -> int:
        """How many were not delivered."""
        with self._reading() as connection:
            query = select(func.count()).select_from(notices)
            return int(connection.execute(query).scalar_one())

    def notices_delivered(self, keys: Collection[str]) -> None:
        """A receiver has them, or nobody wants them: they are kept no longer."""
        with self._writing() as connection:
            connection.execute(delete(notices).where(notices.c.key.in_(keys)))

    def notice_refused(self, key: str) -> None:
        """A receiver did not take one: others come first when it is tried again."""
        more = update(notices).where(notices.c.key == key).values(refused=notices.c.refused + 1)
        with self._writing() as connection:
            connection.execute(more)

    def _passes_on(self, connection: Connection) -> bool:
        return bool(connection.execute(select(leadership.c.notices)).scalar())

    def _note(
        self, connection: Connection, told: Sequence[tuple[str, str | None, Mapping[str, Any]]]
    ) -> None:
        """Keep pieces of news: of which suite, of which run of it if of one, and what."""
        now = self._clock()
        rows = [
            {
                "key": uuid4().hex,
                "created_at": now,
                "refused": 0,
                "suite_key": suite_key,
                "run_id": run_id,
                "content": dict(content),
            }
            for suite_key, run_id, content in told
        ]
        connection.execute(insert(notices), rows)


def _notice_of(row: Row[*tuple[Any, ...]]) -> Notice:
    content = row.content
    before = content.get("before")
    return Notice(
        key=row.key,
        time=row.created_at,
        suite=row.suite_key,
        submitter=row.submitter,
        state=RunState(content["state"]),
        run_id=row.run_id,
        group=row.group_name or "",
        variant=row.variant or "",
        seed=row.seed or 0,
        before=RunState(before) if before else None,
        reason=content.get("reason", ""),
        runs=content.get("runs"),
    )
