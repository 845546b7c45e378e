"""`ntlbg db`: looking after the ledger's database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.group()
def command() -> None:
    """Check, upgrade, back up and restore the ledger."""


@command.command()
@workspace_options
def upgrade(workspace: Workspace) -> None:
    """Bring the ledger's schema up to date. Stop controllers of older code first."""
    from ntlbg_service.ledger.database import open_database
    from ntlbg_service.ledger.schema import HEAD, revision

    with _as_it_is(workspace) as engine, engine.connect() as connection:
        before = revision(connection)
    open_database(workspace.ledger_url, migrate=True).dispose()
    was = f"was brought from {before or 'nothing'} to" if before != HEAD else "is at"
    click.echo(f"The schema {was} {HEAD}.")


@command.command()
@workspace_options
def check(workspace: Workspace) -> None:
    """Say what is in the ledger and whether it is sound; exit code 4 where it is not."""
    from ntlbg_service.domain.errors import InfrastructureError
    from ntlbg_service.ledger.database import shown
    from ntlbg_service.ledger.integrity import check as look

    with _as_it_is(workspace) as engine:
        found = look(engine)
        click.echo(f"{shown(engine.url)}, schema {found.schema}")
    states = ", ".join(f"{count} {state}" for state, count in found.runs.items())
    click.echo(f"runs: {states or 'none'}; not yet told to MLflow: {found.unsent}")
    if found.refused:
        click.echo(f"refused by MLflow: {found.refused}; 'ntlbg mlflow check' says why")
    if found.notices:
        click.echo(f"notices that wait for a receiver: {found.notices}")
    for problem in found.problems:
        click.echo(f"problem: {problem}")
    if found.problems:
        raise InfrastructureError(f"the ledger has {len(found.problems)} problems")
    click.echo("sound")


@command.command()
@click.argument("file", type=FILE)
@workspace_options
def backup(file: Path, workspace: Workspace) -> None:
    """Copy the ledger to FILE while everything goes on.

    From PostgreSQL, or where FILE ends in .jsonl, JSON lines that `ntlbg db restore` puts into
    either database; else a copy in SQLite.
    """
    from ntlbg_service.ledger.backup import back_up

    with _up_to_date(workspace) as engine:
        back_up(engine, file)
    click.echo(f"{file}: {file.stat().st_size:,} bytes")


@command.command()
@click.argument("file", type=FILE)
@click.option("--force", is_flag=True, help="Replace what is in the ledger.")
@workspace_options
def restore(file: Path, force: bool, workspace: Workspace) -> None:
    """Fill the ledger from FILE, a backup of either database; all of it or nothing.

    A controller that leads meanwhile leads no more.
    """
    from ntlbg_service.ledger.restore import restore as fill

    workspace.home.mkdir(parents=True, exist_ok=True)
    with _up_to_date(workspace, new=True) as engine:
        count = fill(engine, file, force=force)
    click.echo(f"{count} rows restored from {file}")


@contextmanager
def _as_it_is(workspace: Workspace) -> "Iterator[Engine]":
    """The database with whatever schema it has. Raises UserError where there is none."""
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.ledger.database import create_database_engine, failures_in_a_line, parse_url

    if not workspace.ledger_exists:
        raise UserError(f"{workspace.ledger_url}: there is no ledger yet")
    engine = create_database_engine(parse_url(workspace.ledger_url))
    try:
        with failures_in_a_line(engine.url):
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _up_to_date(workspace: Workspace, *, new: bool = False) -> "Iterator[Engine]":
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.ledger.database import failures_in_a_line, open_database

    if not (new or workspace.ledger_exists):
        raise UserError(f"{workspace.ledger_url}: there is no ledger yet")
    engine = open_database(workspace.ledger_url)
    try:
        with failures_in_a_line(engine.url):
            yield engine
    finally:
        engine.dispose()
