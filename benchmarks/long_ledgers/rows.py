"""Rows of a ledger in which everything has ended, as a controller leaves them."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Table, insert, text

from ntlbg_service.domain.run_identity import Identity
from ntlbg_service.ledger.records import NewRun, launch_id
from ntlbg_service.ledger.rows import fit_values
from ntlbg_service.ledger.tables import attempts, events, launches, outbox, runs, suites
from ntlbg_service.ledger.transactions import WRITES
from ntlbg_service.submission import Prepared

SUITES_FIRST: tuple[Table, ...] = (suites, runs, attempts, launches, events, outbox)
"""Each after those that it refers to."""
RUNS = 100
"""Of a suite."""
PEOPLE = 20
ENDED_EVERY = 240.0
"""Seconds between the ends of two runs; the last ended an hour ago."""
FAILED, CANCELLED, TWICE = 0.03, 0.01, 0.05
"""Shares of runs; of those that took two attempts."""
AT_ONCE = 2000

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """One run as ledger and storage show it."""

    run_id: str
    new: NewRun
    suite: str
    submitter: str
    state: str
    attempts: int
    submitted: float
    ended: float
    """Unix time."""


def ended_runs(
    prepared: Sequence[Prepared], number: int, now: float, seed: int
) -> Iterator[EndedRun]:
    """So many runs, oldest first, `RUNS` in each suite, with configs and fits of prepared ones."""
    drawn = random.Random(seed)
    pool = [run for each in prepared for run in each.runs]
    for nth in range(number):
        suite, place = f"lab-{nth // RUNS:04d}", nth % RUNS
        new = pool[(nth // RUNS * 7 + place) % len(pool)]
        identity = Identity(**{**new.identity.values, "suite": suite, "seed": 1 + place})
        luck = drawn.random()
        state = "failed" if luck < FAILED else "cancelled" if luck < FAILED + CANCELLED else None
        ended = now - 3600 - (number - nth) * ENDED_EVERY
        yield EndedRun(
            run_id=identity.run_id,
            new=NewRun(
                identity=identity,
                work=new.work,
                baseline=new.baseline,
                config=new.config,
                fits=new.fits,
                details=new.details,
            ),
            suite=suite,
            submitter=f"user-{nth // RUNS % PEOPLE:02d}",
            state=state or "finished",
            attempts=2 if drawn.random() < TWICE else 1,
            submitted=ended - 86400,
            ended=ended,
        )


def fill(engine: Engine, prepared: Sequence[Prepared], given: Sequence[EndedRun]) -> None:
    """Write the rows of all of these runs, thousands in one statement."""
    spec = json.loads(json.dumps(dict(prepared[0].suite.spec)))
    pending: dict[str, list[Row]] = {table.name: [] for table in SUITES_FIRST}
    known: set[str] = set()
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            for number, run in enumerate(given, start=1):
                if run.suite not in known:
                    known.add(run.suite)
                    pending["suites"].append(_suite(run, spec))
                for name, rows in _rows(run).items():
                    pending[name] += rows
                if number % AT_ONCE == 0 or number == len(given):
                    for table in SUITES_FIRST:
                        if pending[table.name]:
                            connection.execute(insert(table), pending[table.name])
                            pending[table.name] = []
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "postgresql" else "SELECT 1"))


def _suite(run: EndedRun, spec: Mapping[str, Any]) -> Row:
    return {
        "key": run.suite,
        "name": run.suite,
        "description": "a suite of a lab",
        "submitter": run.submitter,
        "created_at": run.submitted,
        "spec": spec,
    }


def _rows(run: EndedRun) -> dict[str, list[Row]]:
    """All rows of one run but its suite's, by table."""
    new, identity = run.new, run.new.identity
    numbers = range(1, run.attempts + 1)
    began = {number: run.ended - 7200.0 * (run.attempts + 1 - number) for number in numbers}
    told = [("submitted", "queued", run.submitted)]
    for number in numbers:
        state = run.state if number == run.attempts else "lost"
        told += [
            ("launched", f"attempt {number}: its place is free", began[number]),
            (state, f"attempt {number} {state}", began[number] + 7200.0),
        ]
    return {
        "runs": [
            {
                "run_id": run.run_id,
                "suite_key": run.suite,
                "submitter": run.submitter,
                "work": new.work.value,
                "group_name": identity.group,
                "variant": identity.variant,
                "seed": identity.seed,
                "baseline": int(new.baseline),
                "state": run.state,
                "reason": "" if run.state == "finished" else f"{run.state} for a reason",
                "submission": 1,
                "position": identity.seed,
                "identity": identity.values,
                "config": dict(new.config),
                "fits": [fit_values(fit) for fit in new.fits],
                "details": dict(new.details),
                "created_at": run.submitted,
                "updated_at": run.ended,
            }
        ],
        "attempts": [_attempt(run, number, began[number]) for number in numbers],
        "launches": [
            {
                "launch_id": launch_id(run.run_id, number),
                "run_id": run.run_id,
                "attempt": number,
                "executor": "ray_jobs",
                "created_at": began[number],
            }
            for number in numbers
        ],
        "events": [
            {"time": moment, "run_id": run.run_id, "kind": kind, "message": words}
            for kind, words, moment in told
        ],
        "outbox": [
            {
                "topic": topic,
                "suite_key": run.suite,
                "run_id": run.run_id,
                "created_at": run.ended,
                "sent_at": run.ended,
                "tries": 0,
                "error": "",
            }
            for topic in ("run_started", "run_finished")
        ],
    }


def _attempt(run: EndedRun, number: int, began: float) -> Row:
    newest = number == run.attempts
    fit = run.new.fits[0]
    failed = run.state == "failed" and newest
    return {
        "run_id": run.run_id,
        "number": number,
        "state": {"cancelled": "lost"}.get(run.state, run.state) if newest else "lost",
        "fit": fit_values(fit),
        "failure": "bug" if failed else None if newest else "infrastructure",
        "message": "" if newest and not failed else "the driver ended",
        "launched_at": began,
        "ended_at": began + 7200.0,
        "nodes": ["node-1"],
        "peak_mib": fit.predicted_gib * 900,
        "seconds_per_step": 1.5,
        "finished_steps": 100,
    }
