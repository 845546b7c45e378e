"""Whose a run is, who acted, who may act for others, and what receivers of news are told."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NAME = sa.String(length=200)
OF_ITS_SUITE = (
    "UPDATE runs SET submitter = "
    "(SELECT suites.submitter FROM suites WHERE suites.key = runs.suite_key)"
)


def upgrade() -> None:
    """Add columns and tables. The runs there are belong to who submitted their suite."""
    op.add_column("runs", sa.Column("submitter", NAME, nullable=False, server_default=""))
    op.execute(OF_ITS_SUITE)
    op.add_column("events", sa.Column("who", NAME, nullable=False, server_default=""))
    op.create_table(
        "operators",
        sa.Column("name", NAME, nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("who", NAME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_operators")),
    )
    flag = sa.Column("notices", sa.Integer(), nullable=False, server_default="0")
    op.add_column("leadership", flag)
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "notices",
        sa.Column("id", serial, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("suite_key", NAME, nullable=False),
        sa.Column("run_id", sa.String(length=16), nullable=True),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
