"""How long a run may be on devices."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that older code can leave alone."""
    op.add_column("runs", sa.Column("max_hours", sa.Float(), nullable=True))
