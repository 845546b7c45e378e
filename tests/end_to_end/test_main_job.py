"""The main job as a person does it: real CLI, real Ray, real MP4s, real MLflow.

The suite runs once for all tests here; what each of them does leaves its runs as they are.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command_line import Cli, write_suite
from tests.support.mlflow_database import count_runs, mlflow_runs


@dataclass
class Job:
    """A suite of two runs that has run, one of its videos cut short."""

    cli: Cli
    suite: Path
    broken: Path
    node: Path
    """Where videos and weights were brought before the runs began."""
    done: subprocess.CompletedProcess[str]

    @property
    def storage(self) -> Path:
        return self.cli.home / "storage/runs"


@pytest.fixture(scope="module")
def job(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    folder = tmp_path_factory.mktemp("job")
    cli = Cli(folder / "home", shutil.copytree(data_root, folder / "data"))
    broken = sorted((cli.data_root / "needles/glitch/videos").glob("*.mp4"))[1]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    suite, node = write_suite(folder), folder / "node"
    done = cli("run", suite, "--stage-to", node, "--stage-all")
    assert done.returncode == 0, done.stdout + done.stderr
    yield Job(cli, suite, broken, node, done)
    cli.stop()


def test_a_suite_runs_from_files_to_comparison(job: Job) -> None:
    assert "2 new" in job.done.stdout
    assert "Traceback" not in job.done.stdout + job.done.stderr
    # The truncated video: its questions are failed and named, the rest counted.
    assert job.broken.stem in job.done.stdout

    records = {file: json.loads(file.read_text()) for file in job.storage.glob("*/*/exit.json")}
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
    assert failed and {row["video_id"] for row in failed} == {job.broken.stem}
    assert all(len(row["frames"]) == 64 for row in rows if not row["failure"])
    assert record["results"]["glitch/failed_questions"] == len(failed)


def test_what_the_runs_read_was_brought_once(job: Job) -> None:
    ready = job.storage.glob("*/*/staged/node-000.json")
    brought = [json.loads(path.read_text()) for path in ready]
    videos = len(list(job.cli.data_root.glob("needles/glitch/videos/*.mp4")))
    copies = [path for path in job.node.glob("items/*/files/**/*") if path.is_file()]
    assert len({path.parents[2] for path in job.storage.glob("*/*/staged/node-000.json")}) == 2
    assert sum("glitch-" in str(path) and path.suffix == ".mp4" for path in copies) == videos
    assert sum(node["copied_files"] for node in brought) == len(copies)


def test_mlflow_and_the_report_have_both_runs(job: Job) -> None:
    runs = mlflow_runs(job.cli.home)
    assert set(runs) == {"small (suite)", "uniform/seed1", "ntlbg/seed1"}
    assert set(runs.values()) == {"FINISHED"}
    kept = {path.name for path in (job.cli.home / "mlartifacts").rglob("*") if path.is_file()}
    assert {"config.json", "fit.json", "kept.png", "plan.json", "report.html"} <= kept
    html = (job.cli.home / "storage/reports/small@laptop.html").read_text()
    assert "http-equiv" not in html and "<script" not in html and "data:image" in html


def test_what_has_run_is_not_run_again_and_is_compared_and_told(job: Job) -> None:
    attempts = sorted(job.storage.glob("*/attempt-*"))
    again = job.cli("run", job.suite)
    assert again.returncode == 0
    assert "2 finished before" in again.stdout
    assert count_runs(job.cli.home) == 3
    assert sorted(job.storage.glob("*/attempt-*")) == attempts

    compared = job.cli("compare", job.suite)
    assert compared.returncode == 0
    assert "uniform" in compared.stdout and "ntlbg" in compared.stdout
    status = job.cli("status", "small@laptop", "--events")
    assert "finished" in status.stdout and "attempt 1" in status.stdout
    explained = job.cli("explain", "ntlbg:1").stdout
    assert "measured peak" in explained and "why cpu: the only kind" in explained
    assert job.cli("logs", "ntlbg:1").stdout


def test_a_model_is_exported_and_asked(job: Job, tmp_path: Path) -> None:
    model = tmp_path / "model"
    wrong = job.cli("export", "ntlbg:1", model, "--step", "5")
    assert wrong.returncode == 2 and "the nearest is" in wrong.stderr
    done = job.cli("export", "ntlbg:1", model)
    assert done.returncode == 0, done.stderr
    assert "at step 6" in done.stdout
    origin = json.loads((model / "ntlbg_run.json").read_text())
    assert origin["step"] == 6 and "glitch/accuracy" in origin["results"]
    assert not list(model.glob("optimizer*"))
    assert job.cli("export", "ntlbg:1", model).returncode == 2

    # Nothing of the home is needed any more.
    alone = Cli(tmp_path / "elsewhere", job.cli.data_root)
    (video, *_) = sorted((job.cli.data_root / "needles/glitch/videos").glob("*.mp4"))
    question = "how many symbols flashed in all?"
    asked = alone("ask", video, question, "--model", model)
    assert asked.returncode == 0, asked.stderr
    assert "looked at 64 of 512 frames" in asked.stdout


def test_changed_questions_make_another_run(job: Job) -> None:
    annotations = job.cli.data_root / "needles/glitch/lvb_val.json"
    before = annotations.read_text()
    annotations.write_text(json.dumps(json.loads(before)[:-1]))
    changed = job.cli("submit", job.suite, "--variant", "uniform")
    annotations.write_text(before)
    assert changed.returncode == 0, changed.stderr
    assert "1 new" in changed.stdout
    assert "data changed" in changed.stdout
