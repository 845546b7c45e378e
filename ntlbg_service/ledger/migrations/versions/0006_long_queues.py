"""Indexes for long queues: who waits, what of a suite goes on, what MLflow was not told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

QUEUE = (
    *("state", "wanted", "not_before", "priority"),
    *("created_at", "position", "updated_at", "run_id"),
)


def upgrade() -> None:
    """Replace two indexes by those that hold all that is asked for, and add one."""
    op.drop_index("ix_runs_state", table_name="runs")
    op.drop_index("ix_outbox_sent_at", table_name="outbox")
    op.create_index("ix_runs_queue", "runs", list(QUEUE), unique=False)
    op.create_index("ix_runs_suite_key_state", "runs", ["suite_key", "state"], unique=False)
    unsent = sa.text("sent_at IS NULL")
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["run_id", "suite_key"],
        unique=False,
        sqlite_where=unsent,
        postgresql_where=unsent,
    )
