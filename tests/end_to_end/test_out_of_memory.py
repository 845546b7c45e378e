"""Out of memory in a real worker: the ladder to settings that hold; a node's memory told apart."""

import itertools
import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import REPOSITORY, Cli, write_suite
from tests.end_to_end.test_main_job import count_runs, mlflow_runs

FULL = REPOSITORY / "tests/faults/out_of_memory"


def test_a_full_device_climbs_the_ladder_with_the_same_global_batch(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on two samples or more runs out, with torch's own error."""
    monkeypatch.setenv("PYTHONPATH", f"{FULL}:{REPOSITORY}")
    monkeypatch.setenv("NTLBG_TEST_MOST", "1")
    suite = write_suite(tmp_path, **{"training.max_steps": 2, "training.save_steps": 2})
    done = cli("run", suite, "--variant", "uniform")
    assert done.returncode == 0, done.stdout + done.stderr

    folders = sorted(cli.home.glob("storage/runs/*/attempt-*"))
    fits = [json.loads((folder / "spec.json").read_text())["fit"] for folder in folders]
    ended = [json.loads((folder / "exit.json").read_text()) for folder in folders]
    assert len(fits) > 2
    assert [row["failure"] for row in ended] == ["out_of_memory"] * (len(fits) - 1) + [None]
    assert all("OutOfMemoryError: CUDA out of memory" in row["message"] for row in ended[:-1])
    assert ended[-1]["finished"] and fits[-1]["micro_batch"] == 1
    assert {fit["micro_batch"] * fit["accumulation"] * fit["workers"] for fit in fits} == {4}
    predicted = [fit["predicted_gib"] for fit in fits]
    assert predicted == sorted(predicted, reverse=True)

    (run_id,) = {folder.parent.name for folder in folders}
    said = cli("explain", run_id).stdout
    for number, (before, after) in enumerate(itertools.pairwise(fits), start=1):
        assert f"attempt {number} " in said
        if before["micro_batch"] != after["micro_batch"]:
            assert f"micro-batch {before['micro_batch']} -> {after['micro_batch']}" in said
    assert said.count("out of memory at a predicted") == len(fits) - 1
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}
    assert count_runs(cli.home) == 2
