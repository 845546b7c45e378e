"""A sweep: one run in the ledger, its trials Ray Train runs below it in MLflow."""

import json
import sqlite3
from pathlib import Path

from tests.support.command_line import Cli


def test_a_sweep_runs_its_trials_and_names_the_best(cli: Cli, suite: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep.json"
    sweep.write_text(
        json.dumps(
            {
                "name": "count",
                "suite": suite.name,
                "variant": "ntlbg",
                "overrides": {"training.max_steps": 2},
                "space": {"video.num_representatives": {"values": [16, 32]}},
            }
        )
    )
    done = cli("sweep", sweep)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trial-001" in done.stdout and "trial-002" in done.stdout and "best" in done.stdout

    (exit_file,) = cli.home.glob("storage/runs/*/attempt-0001/exit.json")
    results = json.loads(exit_file.read_text())["results"]
    assert set(results) == {"trial-001/accuracy", "trial-002/accuracy"}

    with sqlite3.connect(cli.home / "mlflow.db") as database:
        names = dict(database.execute("select run_uuid, name from runs").fetchall())
        parents = dict(
            database.execute("select run_uuid, value from tags where key = 'mlflow.parentRunId'")
        )
    tree = {names[child]: names[parent] for child, parent in parents.items()}
    assert tree == {"count": "count (suite)", "trial-001": "count", "trial-002": "count"}

    again = cli("sweep", sweep)
    assert "1 finished before" in again.stdout
    assert "trial-002" in again.stdout
