"""What MLflow has to be told: noted in the transaction that made it true, kept until it is sent."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.records import OutboxEntry
from ntlbg_service.ledger.rows import entry_of
from ntlbg_service.ledger.tables import outbox
from ntlbg_service.ledger.transactions import Transactions, kept

WAITING = (outbox.c.sent_at.is_(None), outbox.c.refused_at.is_(None))
TOLD_WITH = {
    "run_started": ("run_started", "run_metrics"),
    "run_metrics": ("run_started", "run_metrics"),
    "run_finished": ("run_started", "run_metrics", "run_finished"),
}
"""Topics of a run that an entry tells as well: each tells all that there is by then."""


class Outbox(Transactions):
    """The outbox of a ledger."""

    def post(self, topic: str, suite_key: str, run_id: str | None = None) -> None:
        """Note that MLflow has to be told something; a topic already waiting is not repeated."""
        with self._writing() as connection:
            self._post(connection, topic, suite_key, run_id)
            announce(connection)

    def _post(self, connection: Connection, topic: str, suite_key: str, run_id: str | None) -> None:
        # One that waits is counted up: where MLflow is just being told it, `sent` keeps it.
        again = connection.execute(
            update(outbox)
            .where(
                outbox.c.sent_at.is_(None),
                outbox.c.topic == topic,
                outbox.c.suite_key == suite_key,
                outbox.c.run_id.is_(None) if run_id is None else outbox.c.run_id == run_id,
            )
            .values(**_posted_again(topic))
        )
        if again.rowcount == 0:
            connection.execute(insert(outbox), [_entry(topic, suite_key, run_id, self._clock())])

    def _post_runs(self, connection: Connection, topic: str, suite_of: Mapping[str, str]) -> None:
        """The same for a topic of several runs, given with their suites."""
        if not suite_of:
            return
        waits = (
            outbox.c.sent_at.is_(None),
            outbox.c.topic == topic,
            outbox.c.run_id.in_(list(suite_of)),
        )
        again = update(outbox).where(*waits).values(**_posted_again(topic))
        known = set(connection.execute(again.returning(outbox.c.run_id)).scalars())
        now = self._clock()
        fresh = [
            _entry(topic, suite_key, run_id, now)
            for run_id, suite_key in suite_of.items()
            if run_id not in known
        ]
        if fresh:
            connection.execute(insert(outbox), fresh)

    def unsent(self, most: int | None = None, after: int = 0) -> tuple[OutboxEntry, ...]:
        """What MLflow has to be told yet, oldest first; at most so much, of ids above `after`.

        What MLflow refused is not in it.
        """
        query = select(outbox).where(*WAITING, outbox.c.id > after).order_by(outbox.c.id)
        with self._reading() as connection:
            return tuple(entry_of(row) for row in connection.execute(query.limit(most)))

    def unsent_of(self, suite_key: str) -> tuple[int, str]:
        """How much of a suite waits to be told, and why what was tried last was not taken."""
        mine = (*WAITING, outbox.c.suite_key == suite_key)
        last = select(outbox.c.error).where(*mine, outbox.c.tries > 0)
        with self._reading() as connection:
            count = connection.execute(select(func.count()).where(*mine)).scalar_one()
            error = connection.execute(last.order_by(outbox.c.id.desc()).limit(1)).scalar()
        return count, error or ""

    def refused(
        self, suites: Collection[str] | None = None, run_ids: Collection[str] | None = None
    ) -> tuple[OutboxEntry, ...]:
        """What MLflow refused and is set aside, oldest first: of suites, of runs, or all of it."""
        query = select(outbox).where(*_refused(suites, run_ids)).order_by(outbox.c.id)
        with self._reading() as connection:
            return tuple(entry_of(row) for row in connection.execute(query))

    def resend(
        self, suites: Collection[str] | None = None, run_ids: Collection[str] | None = None
    ) -> int:
        """Put back what MLflow refused, to be told again; says how much."""
        again = update(outbox).where(*_refused(suites, run_ids)).values(refused_at=None)
        with self._writing() as connection:
            count = connection.execute(again).rowcount
            announce(connection)
        return count

    def sent(self, entry: OutboxEntry) -> None:
        """MLflow has been told. What was posted again since `entry` was read stays unsent.

        What was refused before of the same run, and is told with this entry, is told as well.
        """
        same = (outbox.c.id == entry.id, outbox.c.posts == entry.posts)
        told = {"sent_at": self._clock(), "refused_at": None}
        with self._writing() as connection:
            connection.execute(update(outbox).where(*same).values(told))
            if entry.run_id is not None:
                covered = (
                    *_refused(None, [entry.run_id]),
                    outbox.c.id < entry.id,
                    outbox.c.topic.in_(TOLD_WITH.get(entry.topic, ())),
                )
                connection.execute(update(outbox).where(*covered).values(told))

    def not_sent(self, entry: OutboxEntry, error: str) -> None:
        """MLflow did not answer; the entry stays."""
        with self._writing() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == entry.id)
                .values(tries=outbox.c.tries + 1, error=kept(error))
            )

    def set_aside(self, entry: OutboxEntry, error: str) -> None:
        """MLflow refused an entry: it holds up nothing, and is told again when that is asked for.

        What was posted again since `entry` was read waits on.
        """
        refused = {"tries": outbox.c.tries + 1, "error": kept(error)}
        mine = update(outbox).where(outbox.c.id == entry.id)
        with self._writing() as connection:
            connection.execute(mine.values(refused))
            same = mine.where(outbox.c.posts == entry.posts)
            connection.execute(same.values(refused_at=self._clock()))


def _posted_again(topic: str) -> dict[str, Any]:
    """How an entry that is there changes. Metrics come every few seconds: where MLflow refuses a
    run's, only the next topic of the run is tried again."""
    again: dict[str, Any] = {"posts": outbox.c.posts + 1}
    return again if topic == "run_metrics" else {**again, "refused_at": None}


def _refused(
    suites: Collection[str] | None, run_ids: Collection[str] | None
) -> tuple[ColumnElement[bool], ...]:
    where: list[ColumnElement[bool]] = [outbox.c.refused_at.is_not(None)]
    if suites is not None:
        where.append(outbox.c.suite_key.in_(suites))
    if run_ids is not None:
        where.append(outbox.c.run_id.in_(run_ids))
    return tuple(where)


def _entry(topic: str, suite_key: str, run_id: str | None, now: float) -> dict[str, Any]:
    return {
        "topic": topic,
        "suite_key": suite_key,
        "run_id": run_id,
        "created_at": now,
        "posts": 1,
        "tries": 0,
        "error": "",
    }
