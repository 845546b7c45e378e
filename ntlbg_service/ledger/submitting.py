"""Making runs durable: the same run is one row, however often and from wherever it is submitted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from ntlbg_service.domain.run_identity import changes
from ntlbg_service.domain.states import RunState
from ntlbg_service.ledger.database import insert_of
from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.operators import Operators
from ntlbg_service.ledger.records import NewRun, NewSuite, Submission
from ntlbg_service.ledger.rows import fit_values
from ntlbg_service.ledger.run_transitions import RunTransitions
from ntlbg_service.ledger.tables import runs, suites

Slot = tuple[str, str, int]
"""Group, variant and seed: the newest run of each counts."""


class Submitting(RunTransitions, Operators):
    """Taking in runs."""

    def submit(self, suite: NewSuite, new_runs: Sequence[NewRun]) -> Submission:
        """Make a suite's runs durable. The same runs again change nothing but their order.

        New runs are the submitter's. Raises NotAllowedError where one would take the place of what
        another user has queued.
        """
        named = {run.identity.run_id: run for run in new_runs}
        with self._writing() as connection:
            self._save_suite(connection, suite)
            number, now = self._next_submission(connection, suite.key), self._clock()
            there = self._there(connection, suite.key) if number > 1 else {}
            known = [run_id for run_id in named if run_id in there]
            fresh = {run_id: run for run_id, run in named.items() if run_id not in there}
            last = _newest(there.values())
            older = {
                run_id: last[_slot(run)] for run_id, run in fresh.items() if _slot(run) in last
            }
            queued = self._hold(connection, {*known, *(row.run_id for row in older.values())})
            superseded = [row.run_id for row in older.values() if row.run_id in queued]
            order = {run_id: (number, place) for place, run_id in enumerate(named)}
            self._reorder(connection, {run_id: order[run_id] for run_id in known})
            for run_id in superseded:
                self._supersede(connection, there[run_id], suite.submitter)
            # What is submitted together is of one age: nobody's turn comes between.
            self._insert(connection, suite, fresh, order, now)
            announce(connection)
        return Submission(
            new=tuple(fresh),
            known=tuple(known),
            changed={
                run_id: tuple(changes(row.identity, fresh[run_id].identity))
                for run_id, row in older.items()
            },
            superseded=tuple(superseded),
        )

    def _supersede(self, connection: Connection, last: Row[*tuple[Any, ...]], who: str) -> None:
        name = f"{last.group_name}/{last.variant} seed {last.seed}"
        words = f"{name}, queued in another version as run {last.run_id},"
        self._check_owner(connection, who, last.submitter, words, "replace")
        self._cancel(connection, last.run_id, "superseded by a newer run", who)

    def _save_suite(self, connection: Connection, suite: NewSuite) -> None:
        """Keep a suite as it is submitted now. Its row is held until the submission is whole, so
        that of two submissions of one suite the later sees what the earlier did."""
        values = {"name": suite.name, "description": suite.description, "spec": dict(suite.spec)}
        fresh = {"key": suite.key, "submitter": suite.submitter, "created_at": self._clock()}
        add = insert_of(connection)(suites).values(fresh | values)
        again = {name: add.excluded[name] for name in values}
        connection.execute(add.on_conflict_do_update(index_elements=["key"], set_=again))

    def _next_submission(self, connection: Connection, suite_key: str) -> int:
        newest = select(func.max(runs.c.submission)).where(runs.c.suite_key == suite_key)
        return (connection.execute(newest).scalar() or 0) + 1

    def _there(self, connection: Connection, suite_key: str) -> dict[str, Row[*tuple[Any, ...]]]:
        """What of a suite was submitted before, oldest first."""
        query = (
            select(
                *(runs.c.run_id, runs.c.identity, runs.c.submitter),
                *(runs.c.group_name, runs.c.variant, runs.c.seed),
            )
            .where(runs.c.suite_key == suite_key)
            .order_by(runs.c.submission, runs.c.created_at)
        )
        return {row.run_id: row for row in connection.execute(query)}

    def _hold(self, connection: Connection, run_ids: set[str]) -> set[str]:
        """Let these runs be as they are until the end, all of them locked in the order of their
        ids; says which of them wait."""
        if not run_ids:
            return set()
        query = select(runs.c.run_id, runs.c.state).where(runs.c.run_id.in_(list(run_ids)))
        held = connection.execute(query.order_by(runs.c.run_id).with_for_update())
        return {row.run_id for row in held if row.state == RunState.QUEUED}

    def _reorder(self, connection: Connection, order: Mapping[str, tuple[int, int]]) -> None:
        if not order:
            return
        mine = update(runs).where(runs.c.run_id == bindparam("of"))
        connection.execute(
            mine.values(submission=bindparam("nth"), position=bindparam("place")),
            [
                {"of": run_id, "nth": number, "place": place}
                for run_id, (number, place) in order.items()
            ],
        )

    def _insert(
        self,
        connection: Connection,
        suite: NewSuite,
        fresh: Mapping[str, NewRun],
        order: Mapping[str, tuple[int, int]],
        now: float,
    ) -> None:
        if not fresh:
            return
        rows = []
        for run_id, run in fresh.items():
            number, place = order[run_id]
            mine = {"submission": number, "position": place, "created_at": now}
            rows.append(_values(suite, run) | mine)
        self._add(connection, [run.identity for run in fresh.values()], rows)
        self._events(
            connection, [(run_id, "submitted", "queued") for run_id in fresh], suite.submitter
        )


def _slot(run: NewRun) -> Slot:
    return run.identity.group, run.identity.variant, run.identity.seed


def _newest(
    rows: Iterable[Row[*tuple[Any, ...]]],
) -> dict[Slot, Row[*tuple[Any, ...]]]:
    """The last of the rows, in their order, for each group, variant and seed."""
    return {(row.group_name, row.variant, row.seed): row for row in rows}


def _values(suite: NewSuite, run: NewRun) -> dict[str, Any]:
    """What a submission says of a run."""
    return {
        "suite_key": suite.key,
        "submitter": suite.submitter,
        "work": run.work.value,
        "group_name": run.identity.group,
        "variant": run.identity.variant,
        "seed": run.identity.seed,
        "baseline": int(run.baseline),
        "config": dict(run.config),
        "fits": [fit_values(fit) for fit in run.fits],
        "details": dict(run.details),
        "priority": run.priority,
        "max_hours": run.max_hours,
    }
