"""Tables of the ledger. A change here needs a migration; a test holds both equal."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

SERIAL = BigInteger().with_variant(Integer, "sqlite")

suites = Table(
    "suites",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("submitter", String(200), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("spec", JSON, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(16), primary_key=True),
    Column("suite_key", String(200), ForeignKey("suites.key"), nullable=False),
    Column("work", String(16), nullable=False),
    Column("group_name", String(200), nullable=False),
    Column("variant", String(200), nullable=False),
    Column("seed", Integer, nullable=False),
    Column("baseline", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("submission", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("identity", JSON, nullable=False),
    Column("config", JSON, nullable=False),
    Column("fits", JSON, nullable=False),
    Column("details", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("wanted", String(16), nullable=False, server_default="run"),
    Column("not_before", Float, nullable=False, server_default="0"),
    Column("excluded", JSON, nullable=False, server_default="[]"),
    Column("next_fit", JSON(none_as_null=True)),
    Column("max_hours", Float),
    Column("submitter", String(200), nullable=False, server_default=""),
    Index("ix_runs_suite_key_submission", "suite_key", "submission"),
    Index("ix_runs_suite_key_state", "suite_key", "state"),
    # What a run is called, and whether it is the newest of its name: answered without its row,
    # whose configs are long.
    Index(
        "ix_runs_names",
        *("suite_key", "group_name", "variant", "seed", "submission"),
        *("state", "submitter", "run_id", "created_at", "position"),
    ),
    # What ended last, and whose it is.
    Index("ix_runs_ended", "state", "updated_at", "submitter", "suite_key", "run_id"),
    # All that says who waits, and in which order: a look at the queue reads no row of a run.
    Index(
        "ix_runs_queue",
        *("state", "wanted", "not_before", "priority"),
        *("created_at", "position", "updated_at", "run_id"),
    ),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", String(16), ForeignKey("runs.run_id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("fit", JSON, nullable=False),
    Column("resume_from", Text),
    Column("failure", String(32)),
    Column("message", Text, nullable=False),
    Column("launched_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("nodes", JSON, nullable=False, server_default="[]"),
    Column("peak_mib", Float),
    Column("seconds_per_step", Float),
    Column("finished_steps", Integer),
    Index("ix_attempts_state", "state"),
    Index("ix_attempts_ended_at", "ended_at"),
)

launches = Table(
    "launches",
    metadata,
    Column("launch_id", String(64), primary_key=True),
    Column("run_id", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("executor", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
    ForeignKeyConstraint(["run_id", "attempt"], ["attempts.run_id", "attempts.number"]),
)

events = Table(
    "events",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("time", Float, nullable=False),
    Column("run_id", String(16), ForeignKey("runs.run_id"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("who", String(200), nullable=False, server_default=""),
    Index("ix_events_run_id", "run_id"),
)

WAITS = "sent_at IS NULL AND refused_at IS NULL"
outbox = Table(
    "outbox",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("topic", String(32), nullable=False),
    Column("suite_key", String(200), nullable=False),
    Column("run_id", String(16)),
    Column("created_at", Float, nullable=False),
    Column("sent_at", Float),
    Column("tries", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("posts", Integer, nullable=False, server_default="1"),
    Column("refused_at", Float),
    # Of what is sent, which is most, nothing is kept. With another index on `sent_at` SQLite would
    # take that one, and read all that waits where it looks for one entry.
    Index(
        "ix_outbox_unsent",
        *("run_id", "suite_key"),
        sqlite_where=text("sent_at IS NULL"),
        postgresql_where=text("sent_at IS NULL"),
    ),
    # The two below hold what is to be sent, in its order, and what was set aside.
    Index("ix_outbox_waiting", "id", sqlite_where=text(WAITS), postgresql_where=text(WAITS)),
    Index(
        "ix_outbox_refused",
        *("run_id", "suite_key"),
        sqlite_where=text("refused_at IS NOT NULL"),
        postgresql_where=text("refused_at IS NOT NULL"),
    ),
)

drains = Table(
    "drains",
    metadata,
    Column("node", String(200), primary_key=True),
    Column("since", Float, nullable=False),
    Column("who", String(200), nullable=False),
    Column("reason", Text, nullable=False),
)

notices = Table(
    "notices",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("key", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("suite_key", String(200), nullable=False),
    Column("run_id", String(16)),
    Column("content", JSON, nullable=False),
    Column("refused", Integer, nullable=False),
)

operators = Table(
    "operators",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("since", Float, nullable=False),
    Column("who", String(200), nullable=False),
)

leadership = Table(
    "leadership",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("holder", String(200), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("notices", Integer, nullable=False, server_default="0"),
    Column("seconds", Float, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="one_row"),
)
