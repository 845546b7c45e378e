"""Leadership, wishes, what recovery decided, what attempts measured; ended is ended."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENDED = "('finished', 'failed', 'cancelled', 'lost')"
RUN_MOVED = f"OLD.state IN {ENDED} AND NEW.state <> OLD.state"
ATTEMPT_MOVED = "OLD.state <> 'launched' AND NEW.state <> OLD.state"
GUARDS = (
    ("runs", "a run that has ended keeps its state", RUN_MOVED),
    ("attempts", "an attempt that has ended keeps its state", ATTEMPT_MOVED),
)


def upgrade() -> None:
    """Add columns that older code can leave alone, the leader's row, and the guards of states."""
    for table, column in _columns():
        op.add_column(table, column)
    _create_leadership()
    guard = _guard_sqlite if op.get_bind().dialect.name == "sqlite" else _guard_postgresql
    for table, words, moved in GUARDS:
        guard(table, words, moved)


def _columns() -> tuple[tuple[str, "sa.Column[Any]"], ...]:
    return (
        ("runs", sa.Column("priority", sa.Integer(), nullable=False, server_default="0")),
        ("runs", sa.Column("wanted", sa.String(length=16), nullable=False, server_default="run")),
        ("runs", sa.Column("not_before", sa.Float(), nullable=False, server_default="0")),
        ("runs", sa.Column("excluded", sa.JSON(), nullable=False, server_default="[]")),
        ("runs", sa.Column("next_fit", sa.JSON(none_as_null=True), nullable=True)),
        ("attempts", sa.Column("nodes", sa.JSON(), nullable=False, server_default="[]")),
        ("attempts", sa.Column("peak_mib", sa.Float(), nullable=True)),
        ("attempts", sa.Column("seconds_per_step", sa.Float(), nullable=True)),
        ("attempts", sa.Column("finished_steps", sa.Integer(), nullable=True)),
        ("outbox", sa.Column("posts", sa.Integer(), nullable=False, server_default="1")),
    )


def _create_leadership() -> None:
    table = op.create_table(
        "leadership",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_leadership_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leadership")),
    )
    op.bulk_insert(table, [{"id": 1, "holder": "", "epoch": 0, "expires_at": 0.0}])


def _guard_sqlite(table: str, words: str, moved: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_ended BEFORE UPDATE OF state ON {table} WHEN {moved} "
        f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
    )


def _guard_postgresql(table: str, words: str, moved: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_ended() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{words}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_ended BEFORE UPDATE OF state ON {table} FOR EACH ROW "
        f"WHEN ({moved}) EXECUTE FUNCTION {table}_ended()"
    )
