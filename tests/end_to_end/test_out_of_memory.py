"""Out of memory in a real worker: the ladder to settings that hold; a node's memory told apart."""

import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ntlbg_service.domain.launch import LaunchSpec, Work, to_json
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import cpu_fit
from tests.support.command_line import REPOSITORY, Cli, until, write_suite
from tests.support.launches import small_config
from tests.support.mlflow_database import count_runs, mlflow_runs

FULL = REPOSITORY / "tests/faults/out_of_memory"


def test_a_full_device_climbs_the_ladder_with_the_same_global_batch(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on two samples or more runs out, with torch's own error."""
    check_ladder(cli, tmp_path, monkeypatch, global_batch=2)


@pytest.mark.long
def test_a_full_device_climbs_several_rungs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_ladder(cli, tmp_path, monkeypatch, global_batch=4) > 2


def check_ladder(cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, global_batch: int) -> int:
    """Runs to its end on a device that holds one sample; how many fits it took."""
    monkeypatch.setenv("PYTHONPATH", f"{FULL}:{REPOSITORY}")
    monkeypatch.setenv("NTLBG_TEST_MOST", "1")
    steps = {"training.max_steps": 2, "training.save_steps": 2}
    suite = write_suite(folder, **steps, **{"training.global_batch": global_batch})
    done = cli("run", suite, "--variant", "uniform")
    assert done.returncode == 0, done.stdout + done.stderr

    tried = [Tried.read(path) for path in sorted(cli.home.glob("storage/runs/*/attempt-*"))]
    # An attempt for which a busy machine started no Ray is one more on the same rung.
    rungs = [attempt for attempt in tried if attempt.ended["failure"] != "infrastructure"]
    assert len(rungs) > 1
    assert [row.ended["failure"] for row in rungs] == ["out_of_memory"] * (len(rungs) - 1) + [None]
    assert all("OutOfMemoryError: CUDA out of memory" in row.ended["message"] for row in rungs[:-1])
    assert rungs[-1].ended["finished"] and rungs[-1].fit["micro_batch"] == 1
    batches = {
        row.fit["micro_batch"] * row.fit["accumulation"] * row.fit["workers"] for row in tried
    }
    assert batches == {global_batch}
    predicted = [row.fit["predicted_gib"] for row in rungs]
    assert predicted == sorted(predicted, reverse=True)

    said = " ".join(cli("explain", "uniform:1").stdout.split())
    for before, after in itertools.pairwise(rungs):
        assert f"attempt {before.number} " in said
        words = f"micro-batch {before.fit['micro_batch']} -> {after.fit['micro_batch']}"
        assert (
            f"out of memory at a predicted {before.fit['predicted_gib']:.2f} GiB: {words}" in said
        )
    assert mlflow_runs(cli.home) == {"small (suite)": "FINISHED", "uniform/seed1": "FINISHED"}
    assert count_runs(cli.home) == 2
    return len(rungs)


@dataclass(frozen=True)
class Tried:
    """An attempt: its number, its fit and its exit record."""

    number: int
    fit: dict[str, Any]
    ended: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Tried":
        spec, ended = (
            json.loads((folder / f"{name}.json").read_text()) for name in ("spec", "exit")
        )
        return cls(spec["attempt"], spec["fit"], ended)


@pytest.mark.long
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
