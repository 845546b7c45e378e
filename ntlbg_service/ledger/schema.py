"""The ledger's schema and the way from each earlier one to it."""

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ntlbg_service.domain.errors import InfrastructureError

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0010"
ONE_AT_A_TIME = 7_305_812
"""PostgreSQL's advisory lock of the one that changes the schema; any number of ours."""


def revision(connection: Connection) -> str | None:
    """The schema that is there; None in an empty database. Raises InfrastructureError for one that
    newer code made."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in revisions():
        raise InfrastructureError(
            f"the ledger's schema is {found}, newer than this ntlbg, which knows {HEAD}; "
            "upgrade ntlbg"
        )
    return found


def revisions() -> tuple[str, ...]:
    """Every schema that was ever released, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(reversed([script.revision for script in scripts.walk_revisions()]))


def upgrade(connection: Connection, target: str = "head") -> None:
    """Bring the schema up to date, in the transaction that `connection` is in.

    Of several processes that start together one does it; the others wait and find it done.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ONE_AT_A_TIME})"))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _config() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
