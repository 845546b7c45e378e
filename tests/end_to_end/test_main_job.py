"""The main job as a person does it: real CLI, real Ray, real MP4s, real MLflow."""

import json
import shutil
import sqlite3
from pathlib import Path

from tests.end_to_end.conftest import Cli, write_suite


def mlflow_runs(home: Path) -> dict[str, str]:
    """Names and states of all runs in MLflow's database."""
    with sqlite3.connect(home / "mlflow.db") as database:
        return dict(database.execute("select name, status from runs").fetchall())


def count_runs(home: Path) -> int:
    with sqlite3.connect(home / "mlflow.db") as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def test_a_suite_from_files_to_comparison(cli: Cli, tmp_path: Path) -> None:
    cli.data_root = shutil.copytree(cli.data_root, tmp_path / "data")
    broken = sorted((cli.data_root / "needles/glitch/videos").glob("*.mp4"))[1]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    suite = write_suite(tmp_path)

    done = cli("run", suite, "--stage-to", tmp_path / "node", "--stage-all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 new" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    # The truncated video: its questions are failed and named, the rest counted.
    assert broken.stem in done.stdout

    storage = cli.home / "storage/runs"
    records = {file: json.loads(file.read_text()) for file in storage.glob("*/*/exit.json")}
    # On a busy machine Ray may not come up in its time: then it is the next attempt that finishes.
    finished = sorted(file for file, record in records.items() if record["finished"])
    assert len(finished) == len({file.parents[1] for file in finished}) == 2
    exit_file = finished[0]
    record = records[exit_file]
    assert record["steps"] == 6 and record["peak_memory_mib"] > 0
    rows = [
        json.loads(line)
        for line in (exit_file.parent / "predictions/glitch.jsonl").read_text().splitlines()
    ]
    failed = [row for row in rows if row["failure"]]
    assert failed and {row["video_id"] for row in failed} == {broken.stem}
    assert all(len(row["frames"]) == 64 for row in rows if not row["failure"])
    assert record["results"]["glitch/failed_questions"] == len(failed)

    brought = [json.loads(path.read_text()) for path in storage.glob("*/*/staged/node-000.json")]
    videos = len(list(cli.data_root.glob("needles/glitch/videos/*.mp4")))
    copies = [path for path in (tmp_path / "node").glob("items/*/files/**/*") if path.is_file()]
    assert len(brought) == 2
    assert sum("glitch-" in str(path) and path.suffix == ".mp4" for path in copies) == videos
    assert sum(node["copied_files"] for node in brought) == len(copies)  # Each once, for both.

    runs = mlflow_runs(cli.home)
    assert set(runs) == {"small (suite)", "uniform/seed1", "ntlbg/seed1"}
    assert set(runs.values()) == {"FINISHED"}
    kept = {path.name for path in (cli.home / "mlartifacts").rglob("*") if path.is_file()}
    assert {"config.json", "fit.json", "kept.png", "plan.json", "report.html"} <= kept
    html = (cli.home / "storage/reports/small@laptop.html").read_text()
    assert "http-equiv" not in html and "<script" not in html and "data:image" in html

    again = cli("run", suite)
    assert again.returncode == 0
    assert "2 finished before" in again.stdout
    assert count_runs(cli.home) == 3
    assert len(list(storage.glob("*/attempt-*"))) == 2

    compared = cli("compare", suite)
    assert compared.returncode == 0
    assert "uniform" in compared.stdout and "ntlbg" in compared.stdout
    status = cli("status", "small@laptop", "--events")
    assert "finished" in status.stdout and "attempt 1" in status.stdout

    annotations = cli.data_root / "needles/glitch/lvb_val.json"
    questions = json.loads(annotations.read_text())
    annotations.write_text(json.dumps(questions[:-1]))
    changed = cli("run", suite, "--variant", "uniform")
    assert "1 new" in changed.stdout
    assert "data changed" in changed.stdout
