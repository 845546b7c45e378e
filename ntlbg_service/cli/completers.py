"""Words for the shell to go on with: read quickly, and silent about whatever is wrong.

A ledger in a file is read with the standard library alone, and no home is made. Whoever wants to
know why nothing comes runs the command.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ntlbg_service.domain.naming import RunName, newest
from ntlbg_service.process.sqlite_file import connect_to_read, file_of

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
CONNECT_SECONDS = "2"
"""How long a person who presses a key waits for a database on a server."""
OFFERED = 500
"""Runs that are offered, the newest: nobody reads more."""
NAMES = f"""
SELECT run_id, suite_key, group_name, variant, seed, submission
FROM runs ORDER BY created_at DESC, position DESC LIMIT {OFFERED}
"""  # nosec B608 # a number of ours
SUITES = "SELECT key FROM suites ORDER BY created_at"
NODES = "SELECT DISTINCT CAST(nodes AS TEXT) FROM attempts"
DRAINED = "SELECT node FROM drains ORDER BY node"


def offering(words: Callable[[click.Context], Iterable[str]]) -> Completer:
    """A completer that offers those of some words that go on with what was typed."""

    @wraps(words)
    def complete(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
        try:
            return [CompletionItem(word) for word in words(ctx) if word.startswith(typed)]
        # Whatever it is, the person is in the middle of a line.
        except Exception:
            return []

    return complete


@offering
def complete_run(ctx: click.Context) -> Iterable[str]:
    """What a RUN may be called."""
    return _runs(ctx)


@offering
def complete_suite(ctx: click.Context) -> Iterable[str]:
    """The suites that were submitted."""
    return [row[0] for row in _rows(ctx, SUITES)]


@offering
def complete_any(ctx: click.Context) -> Iterable[str]:
    """Either."""
    return [*(row[0] for row in _rows(ctx, SUITES)), *_runs(ctx)]


@offering
def complete_node(ctx: click.Context) -> Iterable[str]:
    """Nodes on which anything ever ran."""
    return sorted({node for row in _rows(ctx, NODES) for node in json.loads(row[0])})


@offering
def complete_drained(ctx: click.Context) -> Iterable[str]:
    """Nodes that are drained."""
    return [row[0] for row in _rows(ctx, DRAINED)]


@offering
def complete_gpu(_: click.Context) -> Iterable[str]:
    """GPU kinds, built in and of NTLBG_PROFILES."""
    from ntlbg_service.cli.inventory_choice import known_kinds
    from ntlbg_service.domain.hardware.profiles import PROFILES

    return [profile.name for profile in (*PROFILES.values(), *known_kinds())]


@offering
def complete_group(ctx: click.Context) -> Iterable[str]:
    """Groups of the suite's file."""
    return list(_suite(ctx)["groups"])


@offering
def complete_variant(ctx: click.Context) -> Iterable[str]:
    """Variants of the suite's file; of the groups that were chosen."""
    groups = _suite(ctx)["groups"]
    chosen = [groups[name] for name in ctx.params.get("groups") or groups if name in groups]
    return [row["name"] for group in chosen for row in group["variants"]]


@offering
def complete_scale(ctx: click.Context) -> Iterable[str]:
    """Scales of the suite's file."""
    return list(_suite(ctx)["scales"])


def _suite(ctx: click.Context) -> Any:
    # Click has not come to the arguments where an option still wants its value.
    left = (word for word in ctx.args if word.endswith(".json"))
    file = ctx.params.get("suite") or next(left, None)
    return json.loads(Path(file).read_text()) if file else {"groups": {}, "scales": {}}


def _runs(ctx: click.Context) -> list[str]:
    fields = ("run_id", "suite", "group", "variant", "seed", "submission")
    names = [RunName(**dict(zip(fields, row, strict=True))) for row in _rows(ctx, NAMES)]
    return [word for name in newest(reversed(names)) for word in (name.label, name.run_id)]


def _rows(ctx: click.Context, query: str) -> list[tuple[Any, ...]]:
    url = ctx.params.get("ledger")
    file = file_of(url) if url else _home(ctx) / "ledger.db"
    if url and file is None:
        return _from_server(url, query)
    if file is None or not file.is_file():
        return []
    with closing(connect_to_read(file)) as ledger:
        return ledger.execute(query).fetchall()


def _home(ctx: click.Context) -> Path:
    return Path(ctx.params.get("home") or ".ntlbg")


def _from_server(url: str, query: str) -> list[tuple[Any, ...]]:
    from sqlalchemy import text

    from ntlbg_service.ledger.database import create_database_engine, parse_url

    parsed = parse_url(url).update_query_dict({"connect_timeout": CONNECT_SECONDS})
    engine = create_database_engine(parsed)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()
