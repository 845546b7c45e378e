"""Runs as MLflow's own database has them."""

import sqlite3
from pathlib import Path


def mlflow_runs(home: Path) -> dict[str, str]:
    """Names and states of all runs in MLflow's database."""
    with sqlite3.connect(home / "mlflow.db") as database:
        return dict(database.execute("select name, status from runs").fetchall())


def count_runs(home: Path) -> int:
    with sqlite3.connect(home / "mlflow.db") as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])
