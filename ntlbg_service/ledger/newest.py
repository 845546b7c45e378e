"""Of a suite's runs those that count: the newest of every group, variant and seed."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists

from ntlbg_service.ledger.tables import runs


def is_newest() -> ColumnElement[bool]:
    """Whether no later submission of the suite has a run of the same group, variant and seed."""
    later = runs.alias("later")
    same = and_(
        *(later.c[name] == runs.c[name] for name in ("suite_key", "group_name", "variant", "seed"))
    )
    return ~exists().where(same, later.c.submission > runs.c.submission)


def among_newest(query: Select[*tuple[Any, ...]], suite_key: str) -> Select[*tuple[Any, ...]]:
    """A query of `runs`, which then sees the newest of a suite alone."""
    return query.where(runs.c.suite_key == suite_key, is_newest())
