"""How long the lease is, for those who wait for it by a clock of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that older code can leave alone."""
    column = sa.Column("seconds", sa.Float(), nullable=False, server_default="0")
    op.add_column("leadership", column)
