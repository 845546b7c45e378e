"""The ledger's schema and the way from each earlier one to it."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from ntlbg_service.domain.errors import InfrastructureError

# Alembic takes a tenth of a second to import; a ledger that is up to date is opened without it.
if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0009"
VERSION = "alembic_version"
"""Alembic's table, whose one row names the schema."""
ONE_AT_A_TIME = 7_305_812
"""PostgreSQL's advisory lock of the one that changes the schema; any number of ours."""


def revision(connection: Connection) -> str | None:
    """The schema that is there; None in an empty database. Raises InfrastructureError for one that
    newer code made."""
    if not inspect(connection).has_table(VERSION):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION}")).scalar()  # nosec B608 # a name of ours
    if found is not None and found != HEAD and found not in revisions():
        raise InfrastructureError(
            f"the ledger's schema is {found}, newer than this ntlbg, which knows {HEAD}; "
            "upgrade ntlbg"
        )
    return None if found is None else str(found)


def revisions() -> tuple[str, ...]:
    """Every schema that was ever released, oldest first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    return tuple(reversed([script.revision for script in scripts.walk_revisions()]))


def upgrade(connection: Connection, target: str = "head") -> None:
    """Bring the schema up to date, in the transaction that `connection` is in.

    Of several processes that start together one does it; the others wait and find it done.
    """
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ONE_AT_A_TIME})"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _config() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
