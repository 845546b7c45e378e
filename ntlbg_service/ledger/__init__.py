"""The durable queue and history of states, in SQLite or PostgreSQL."""
