"""The ledger in numbers, for those who watch it: counted by the database, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from ntlbg_service.domain.states import AttemptState, DesiredState, RunState
from ntlbg_service.ledger.outbox import WAITING
from ntlbg_service.ledger.tables import attempts, drains, leadership, outbox, runs
from ntlbg_service.ledger.transactions import Transactions


@dataclass(frozen=True, kw_only=True)
class HeldGpus:
    """What an active attempt holds."""

    profile: str
    gpus: float
    nodes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LedgerStats:
    """Counts, and ages in seconds; 0 where there is nothing to be old."""

    runs: Mapping[str, int]
    """Number by state; every state is there."""
    waiting: Mapping[str, int]
    """Queued runs by what holds them: `place`, `pause_after_failure`, `paused`."""
    oldest_wait: float
    """Of a queued run that nobody has paused, since its submission."""
    attempts: Mapping[str, int]
    """Ended attempts ever, by outcome: `finished`, or what ended them."""
    launches: int
    """Attempts ever started."""
    held: tuple[HeldGpus, ...]
    drained: frozenset[str]
    unsent: int
    """What MLflow has not been told yet."""
    oldest_unsent: float
    refused: int
    """What MLflow refused, and is set aside until somebody sends it again."""
    leader: str
    """Empty: nobody leads."""
    epoch: int
    lease_left: float
    """Until the lease runs out; negative where it has."""


class Counting(Transactions):
    """The ledger in numbers."""

    def figures(self) -> LedgerStats:
        """Everything at one moment."""
        now = self._clock()
        with self._reading() as connection:
            counted = select(runs.c.state, func.count()).group_by(runs.c.state)
            states = {row[0]: row[1] for row in connection.execute(counted)}
            lead = connection.execute(select(leadership)).one()
            number, oldest = connection.execute(
                select(func.count(), func.min(outbox.c.created_at)).where(*WAITING)
            ).one()
            aside = select(func.count()).where(outbox.c.refused_at.is_not(None))
            refused = connection.execute(aside).scalar_one()
            ended = _ended(connection)
            held = _held(connection)
            waiting, since = _waiting(connection, now)
            drained = frozenset(connection.execute(select(drains.c.node)).scalars())
        return LedgerStats(
            runs={state.value: states.get(state.value, 0) for state in RunState},
            waiting=waiting,
            oldest_wait=max(0.0, now - since) if since is not None else 0.0,
            attempts=ended,
            launches=sum(ended.values()) + len(held),
            held=held,
            drained=drained,
            unsent=number,
            oldest_unsent=max(0.0, now - oldest) if oldest is not None else 0.0,
            refused=refused,
            leader=lead.holder if lead.expires_at > now else "",
            epoch=lead.epoch,
            lease_left=lead.expires_at - now if lead.holder else 0.0,
        )


def _ended(connection: Connection) -> dict[str, int]:
    query = (
        select(attempts.c.state, attempts.c.failure, func.count())
        .where(attempts.c.state != AttemptState.LAUNCHED.value)
        .group_by(attempts.c.state, attempts.c.failure)
    )
    found: dict[str, int] = {}
    for state, failure, number in connection.execute(query):
        outcome = failure or state
        found[outcome] = found.get(outcome, 0) + number
    return found


def _held(connection: Connection) -> tuple[HeldGpus, ...]:
    query = select(attempts.c.fit, attempts.c.nodes)
    active = query.where(attempts.c.state == AttemptState.LAUNCHED.value)
    return tuple(
        HeldGpus(
            profile=fit["profile"],
            gpus=fit["workers"] * fit.get("share", 1.0),
            nodes=tuple(nodes),
        )
        for fit, nodes in connection.execute(active)
    )


def _waiting(connection: Connection, now: float) -> tuple[dict[str, int], float | None]:
    """Counts by what holds them, and when the oldest that nobody paused was submitted."""
    later = (runs.c.not_before > now).label("later")
    query = (
        select(runs.c.wanted, later, func.count(), func.min(runs.c.created_at))
        .where(runs.c.state == RunState.QUEUED.value)
        .group_by(runs.c.wanted, "later")
    )
    counts = {"place": 0, "pause_after_failure": 0, "paused": 0}
    oldest: list[float] = []
    for wanted, held_back, number, since in connection.execute(query):
        if wanted != DesiredState.RUN.value:
            counts["paused"] += number
            continue
        counts["pause_after_failure" if held_back else "place"] += number
        oldest.append(since)
    return counts, min(oldest, default=None)
