"""Making runs durable: the same run is one row, however often and from wherever it is submitted."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from ntlbg_service.domain.states import RunState
from ntlbg_service.domain.suite import changes
from ntlbg_service.ledger.database import insert_of
from ntlbg_service.ledger.lives import Lives
from ntlbg_service.ledger.news import announce
from ntlbg_service.ledger.operators import Operators
from ntlbg_service.ledger.records import NewRun, NewSuite, Submission
from ntlbg_service.ledger.tables import runs, suites


class Submitting(Lives, Operators):
    """Taking in runs."""

    def submit(self, suite: NewSuite, new_runs: Sequence[NewRun]) -> Submission:
        """Make a suite's runs durable. The same runs again change nothing but their order.

        New runs are the submitter's. Raises NotAllowedError where one would take the place of what
        another user has queued.
        """
        fresh: list[str] = []
        known: list[str] = []
        changed: dict[str, tuple[str, ...]] = {}
        superseded: list[str] = []
        with self._writing() as connection:
            self._save_suite(connection, suite)
            number, now = self._next_submission(connection, suite.key), self._clock()
            for position, run in enumerate(new_runs):
                run_id = run.identity.run_id
                order = {"submission": number, "position": position}
                if self._exists(connection, run_id):
                    connection.execute(update(runs).where(runs.c.run_id == run_id).values(order))
                    known.append(run_id)
                    continue
                last = self._latest(connection, run)
                if last is not None:
                    changed[run_id] = tuple(changes(last.identity, run.identity))
                    if last.state == RunState.QUEUED:
                        self._supersede(connection, last, suite.submitter)
                        superseded.append(last.run_id)
                # What is submitted together is of one age: nobody's turn comes between.
                self._insert_run(connection, suite, run, order | {"created_at": now})
                fresh.append(run_id)
            announce(connection)
        return Submission(
            new=tuple(fresh), known=tuple(known), changed=changed, superseded=tuple(superseded)
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
        add = insert_of(connection)(suites).values(fresh | values).on_conflict_do_nothing()
        connection.execute(add)
        connection.execute(update(suites).where(suites.c.key == suite.key).values(values))

    def _next_submission(self, connection: Connection, suite_key: str) -> int:
        newest = select(func.max(runs.c.submission)).where(runs.c.suite_key == suite_key)
        return (connection.execute(newest).scalar() or 0) + 1

    def _exists(self, connection: Connection, run_id: str) -> bool:
        found = select(runs.c.run_id).where(runs.c.run_id == run_id)
        return connection.execute(found).first() is not None

    def _latest(self, connection: Connection, run: NewRun) -> Row[*tuple[Any, ...]] | None:
        identity = run.identity
        query = (
            select(
                *(runs.c.run_id, runs.c.identity, runs.c.state, runs.c.submitter),
                *(runs.c.group_name, runs.c.variant, runs.c.seed),
            )
            .where(
                runs.c.suite_key == identity.suite,
                runs.c.group_name == identity.group,
                runs.c.variant == identity.variant,
                runs.c.seed == identity.seed,
            )
            .order_by(runs.c.submission.desc(), runs.c.created_at.desc())
        )
        return connection.execute(query).first()

    def _insert_run(
        self, connection: Connection, suite: NewSuite, run: NewRun, order: Mapping[str, float]
    ) -> None:
        values = {
            "suite_key": suite.key,
            "submitter": suite.submitter,
            "work": run.work.value,
            "group_name": run.identity.group,
            "variant": run.identity.variant,
            "seed": run.identity.seed,
            "baseline": int(run.baseline),
            "config": dict(run.config),
            "fits": [asdict(fit) for fit in run.fits],
            "details": dict(run.details),
            "priority": run.priority,
            "max_hours": run.max_hours,
        }
        self._add(connection, run.identity, {**values, **order})
        self._event(connection, run.identity.run_id, "submitted", "queued", suite.submitter)
