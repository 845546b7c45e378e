"""Indexes for ledgers with many ended runs: their names, what ended last, whose they are."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAMES = (
    *("suite_key", "group_name", "variant", "seed", "submission"),
    *("state", "submitter", "run_id", "created_at", "position"),
)
ENDED = ("state", "updated_at", "submitter", "suite_key", "run_id")


def upgrade() -> None:
    """Add three indexes."""
    op.create_index("ix_runs_names", "runs", list(NAMES), unique=False)
    op.create_index("ix_runs_ended", "runs", list(ENDED), unique=False)
    op.create_index("ix_attempts_ended_at", "attempts", ["ended_at"], unique=False)
