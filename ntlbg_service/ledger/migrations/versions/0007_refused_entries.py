"""Outbox entries that MLflow refused are set aside; indexes of these and of what waits."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and two partial indexes; nothing was set aside before."""
    op.add_column("outbox", sa.Column("refused_at", sa.Float(), nullable=True))
    waits = sa.text("sent_at IS NULL AND refused_at IS NULL")
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=waits,
        postgresql_where=waits,
    )
    refused = sa.text("refused_at IS NOT NULL")
    op.create_index(
        "ix_outbox_refused",
        "outbox",
        ["run_id", "suite_key"],
        unique=False,
        sqlite_where=refused,
        postgresql_where=refused,
    )
