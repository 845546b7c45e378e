"""Of a suite's runs those that count: the newest of every group, variant and seed."""

from typing import Any

from sqlalchemy import Select, and_, func, select

from ntlbg_service.ledger.tables import runs


def among_newest(query: Select[*tuple[Any, ...]], suite_key: str) -> Select[*tuple[Any, ...]]:
    """A query of `runs`, which then sees the newest of a suite alone."""
    newest = (
        select(
            runs.c.group_name,
            runs.c.variant,
            runs.c.seed,
            func.max(runs.c.submission).label("submission"),
        )
        .where(runs.c.suite_key == suite_key)
        .group_by(runs.c.group_name, runs.c.variant, runs.c.seed)
        .subquery()
    )
    same = and_(
        runs.c.group_name == newest.c.group_name,
        runs.c.variant == newest.c.variant,
        runs.c.seed == newest.c.seed,
        runs.c.submission == newest.c.submission,
    )
    return query.join(newest, same).where(runs.c.suite_key == suite_key)
