"""Out of memory in a real worker: the ladder to settings that hold; a node's memory told apart."""

import itertools
import json
import os
from pathlib import Path

import pytest

from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.builders import cpu_fit
from tests.end_to_end.conftest import REPOSITORY, Cli, until, write_suite
from tests.end_to_end.test_main_job import count_runs, mlflow_runs
from tests.launches import small_config

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
    said = " ".join(cli("explain", run_id).stdout.split())
    for number, (before, after) in enumerate(itertools.pairwise(fits), start=1):
        assert f"attempt {number} " in said
        words = f"micro-batch {before['micro_batch']} -> {after['micro_batch']}"
        assert f"out of memory at a predicted {before['predicted_gib']:.2f} GiB: {words}" in said
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}
    assert count_runs(cli.home) == 2


def test_a_node_without_memory_is_told_apart(data_root: Path, tmp_path: Path) -> None:
    """Ray ends a worker when its node's memory runs low, which here it is told to see early."""
    storage = LocalStorage(tmp_path / "storage")
    early = {"RAY_memory_usage_threshold": "0.02", "RAY_memory_monitor_refresh_ms": "200"}
    executor = LocalExecutor(storage, {**os.environ, **early, "HF_HUB_OFFLINE": "1"})
    config = small_config(max_steps=30)
    spec = LaunchSpec(
        launch_id="run-0001",
        run_id="run",
        attempt=1,
        work=Work.TRAIN,
        config=config,
        seed=1,
        fit=cpu_fit(config),
        storage=str(storage.root),
        data_root=str(data_root),
        cache=str(tmp_path / "cache"),
    )
    keys = AttemptKeys("run", 1)
    storage.put(keys.spec, to_json(spec))
    executor.launch(spec)
    try:
        until(lambda: executor.status(keys) is LaunchStatus.ENDED, "the end of the attempt")
    finally:
        executor.stop(keys)
    record = storage.get(keys.exit)
    assert record is not None, storage.path(keys.log).read_text()[-3000:]
    assert record["failure"] == "host_memory", record["message"]
    assert record["message"].startswith("a worker was killed: its node ran out of memory")
