"""Runs as a list shows them: chosen, counted and paged by the database, without configs and fits.

A ledger keeps every run that ever ended, and each row is kilobytes long. What is asked here is
found in indexes, and only the rows of the page are read.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from ntlbg_service.domain.naming import RunName, spelled
from ntlbg_service.domain.states import TERMINAL, RunState
from ntlbg_service.ledger.newest import is_newest
from ntlbg_service.ledger.records import RunSummary
from ntlbg_service.ledger.rows import SUMMARY, summary_of
from ntlbg_service.ledger.tables import runs, suites
from ntlbg_service.ledger.transactions import Transactions

AT_ONCE = 500
"""Ids that one statement asks for."""
RUN_ID = frozenset("0123456789abcdef")
"""Characters of an id."""
AFTER = "g"
"""Sorts after every character of an id, in every collation."""
LARGEST_SEED = 2**31 - 1
NAME = (
    runs.c.run_id,
    runs.c.suite_key.label("suite"),
    runs.c.group_name.label("group"),
    runs.c.variant,
    runs.c.seed,
    runs.c.submission,
)


@dataclass(frozen=True, kw_only=True)
class RunFilter:
    """Which runs are asked for: the newest of each name that meet all of it."""

    suite: str | None = None
    states: Collection[RunState] = ()
    """Empty: in any state."""
    users: Collection[str] = ()
    """Empty: anybody's."""

    @property
    def wanted(self) -> tuple[RunState, ...]:
        """The states, those that go on first."""
        states = self.states or tuple(RunState)
        return tuple(
            sorted(states, key=lambda state: (state in TERMINAL, state.value != "running"))
        )


class _Found(NamedTuple):
    """A run's place among ended ones, the newest first."""

    age: float
    run_id: str


class Listing(Transactions):
    """Choosing, counting and naming runs."""

    def listed(self, chosen: RunFilter, most: int | None = None) -> tuple[RunSummary, ...]:
        """The runs that are chosen, suite after suite, each in the order of submission.

        Where there are more than `most`, those that run come first, then those that wait, in the
        order of the queue, then those that ended last.
        """
        with self._reading() as connection:
            if most is None:
                found = list(connection.execute(_ids(chosen, chosen.wanted)).scalars())
            else:
                found = _first(connection, chosen, most)
        return self.summaries(found)

    def count(self, chosen: RunFilter) -> dict[RunState, int]:
        """How many are chosen, by their states; those of which there are none are left out."""
        query = _chosen(select(runs.c.state, func.count()), chosen, chosen.wanted)
        with self._reading() as connection:
            rows = {row[0]: row[1] for row in connection.execute(query.group_by(runs.c.state))}
        return {state: rows[state.value] for state in RunState if state.value in rows}

    def count_by_suite(
        self, chosen: RunFilter, suite_keys: Collection[str]
    ) -> dict[str, dict[RunState, int]]:
        """How many of each of these suites are chosen, by their states."""
        found: dict[str, dict[RunState, int]] = {}
        columns = (runs.c.suite_key, runs.c.state)
        for some in in_pieces(list(suite_keys)):
            query = _chosen(select(*columns, func.count()), chosen, chosen.wanted)
            query = query.where(runs.c.suite_key.in_(some)).group_by(*columns)
            with self._reading() as connection:
                for suite, state, number in connection.execute(query):
                    found.setdefault(suite, {})[RunState(state)] = number
        return found

    def summaries(self, run_ids: Sequence[str]) -> tuple[RunSummary, ...]:
        """These runs, suite after suite, each in the order of submission, as far as they exist."""
        rows: list[tuple[tuple[Any, ...], RunSummary]] = []
        for some in in_pieces(run_ids):
            query = (
                select(
                    *SUMMARY, runs.c.submission, runs.c.position, suites.c.created_at.label("of")
                )
                .join(suites)
                .where(runs.c.run_id.in_(some))
            )
            with self._reading() as connection:
                for row in connection.execute(query):
                    order = (row.of, row.suite_key, row.submission, row.position)
                    rows.append((order, summary_of(row)))
        rows.sort(key=lambda pair: pair[0])
        return tuple(summary for _, summary in rows)

    def run_ids(self) -> tuple[str, ...]:
        """Ids of all runs, repeated ones too."""
        query = select(runs.c.run_id).order_by(runs.c.suite_key, runs.c.run_id)
        with self._reading() as connection:
            return tuple(connection.execute(query).scalars())

    def names(self, suite_key: str | None = None, most: int | None = None) -> tuple[RunName, ...]:
        """What every run, or every one of a suite, is called, in the order of submission; the last
        `most` of them where that is given."""
        order = (runs.c.created_at, runs.c.position)
        query = select(*NAME).order_by(*(each.desc() for each in order)).limit(most)
        if suite_key is not None:
            query = query.where(runs.c.suite_key == suite_key)
        with self._reading() as connection:
            found = [RunName(**row) for row in connection.execute(query).mappings()]
        return tuple(reversed(found))

    def named(self, word: str) -> tuple[RunName, ...]:
        """All runs that a word may mean: by id, by its beginning, or by a spelling of its name."""
        meant = list(_meant(word))
        if not meant:
            return ()
        query = select(*NAME).where(or_(*meant)).order_by(runs.c.created_at, runs.c.position)
        with self._reading() as connection:
            return tuple(RunName(**row) for row in connection.execute(query).mappings())


def in_pieces(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids, as many at a time as one statement asks for."""
    for start in range(0, len(run_ids), AT_ONCE):
        yield run_ids[start : start + AT_ONCE]


def _meant(word: str) -> Iterator[ColumnElement[bool]]:
    if word and RUN_ID.issuperset(word):
        yield and_(runs.c.run_id >= word, runs.c.run_id < word + AFTER)
    spelling = spelled(word)
    if spelling is not None and spelling.seed <= LARGEST_SEED:
        yield and_(runs.c.variant.in_(spelling.variants), runs.c.seed == spelling.seed)


def _chosen(
    query: Select[*tuple[Any, ...]], chosen: RunFilter, states: Collection[RunState]
) -> Select[*tuple[Any, ...]]:
    query = query.where(is_newest())
    if len(states) < len(RunState):
        query = query.where(runs.c.state.in_([state.value for state in states]))
    if chosen.suite is not None:
        query = query.where(runs.c.suite_key == chosen.suite)
    if chosen.users:
        query = query.where(runs.c.submitter.in_(list(chosen.users)))
    return query


def _ids(chosen: RunFilter, states: Collection[RunState]) -> Select[*tuple[Any, ...]]:
    return _chosen(select(runs.c.run_id), chosen, states)


def _first(connection: Connection, chosen: RunFilter, most: int) -> list[str]:
    """Ids of the first `most`, in the order in which people want to see them."""
    queue = (runs.c.priority.desc(), runs.c.created_at, runs.c.position)
    orders = {RunState.RUNNING: (runs.c.created_at, runs.c.position), RunState.QUEUED: queue}
    found: list[str] = []
    for state, order in orders.items():
        if state in chosen.wanted and len(found) < most:
            query = _ids(chosen, [state]).order_by(*order).limit(most - len(found))
            found += connection.execute(query).scalars()
    if len(found) < most:
        ended = [state for state in chosen.wanted if state in TERMINAL]
        pages = [_ended(connection, chosen, state, most - len(found)) for state in ended]
        found += [each.run_id for each in islice(merge(*pages), most - len(found))]
    return found


def _ended(connection: Connection, chosen: RunFilter, state: RunState, most: int) -> list[_Found]:
    """Those that ended last in one state: a walk through an index, not a sort of all that ended."""
    query = _chosen(select(runs.c.updated_at, runs.c.run_id), chosen, [state])
    rows = connection.execute(query.order_by(runs.c.updated_at.desc()).limit(most))
    return sorted(_Found(-row.updated_at, row.run_id) for row in rows)
