"""A home that is moved or restored elsewhere while a run trains: the run goes on at the new place.

With real Ray, once an executor; what each part does then is in `tests/unit/service/test_moved.py`.
"""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Cli, lives, markers, until, write_suite
from tests.ray_cluster import RayCluster

pytestmark = pytest.mark.long


def test_drivers_of_this_machine(cli: Cli, tmp_path: Path) -> None:
    moves_on(cli, tmp_path)
    assert not any(lives(pid) for pid in cli.claims())


def test_jobs_of_a_cluster(
    cli: Cli, tmp_path: Path, ray_cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ray_cluster.environment.items():
        monkeypatch.setenv(name, value)
    moves_on(cli, tmp_path)


def moves_on(cli: Cli, folder: Path) -> None:
    """Train, end the controller, restore a backup elsewhere, move the home; both go on."""
    suite = write_suite(folder, **{"training.max_steps": 40})
    submitted = cli("submit", suite, "--variant", "uniform")
    assert submitted.returncode == 0, submitted.stderr
    controller = cli.start("controller", "--parallel", "1")
    until(lambda: markers(cli.home), "a committed checkpoint")
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    backup = folder / "ledger.jsonl"
    assert cli("db", "backup", backup).returncode == 0
    restored = Cli(folder / "restored", cli.data_root)
    shutil.copytree(cli.home / "storage", restored.home / "storage")
    moved = Cli(folder / "moved", cli.data_root)
    cli.home.rename(moved.home)
    done = restored("db", "restore", backup)
    assert done.returncode == 0, done.stderr
    try:
        for each in (moved, restored):
            goes_on(each, cli.home)
    finally:
        moved.stop()
        restored.stop()
    assert not cli.home.exists()


def goes_on(cli: Cli, before: Path) -> None:
    """The run of a home finishes from its newest checkpoint, and is looked at and exported."""
    committed = max(json.loads(path.read_text())["step"] for path in markers(cli.home))
    ended = cli("controller", "--until-idle", "--parallel", "1", "--silent", "20")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    status = json.loads(cli("status", "--json").stdout)
    assert [row["state"] for row in status] == ["finished"], ended.stdout
    newest = max(cli.home.glob("storage/runs/*/attempt-*"))
    assert newest.name > "attempt-0001"
    spec = json.loads((newest / "spec.json").read_text())
    assert Path(spec["storage"]) == cli.home / "storage"
    assert Path(spec["resume_from"]).is_relative_to(cli.home)
    assert int(spec["resume_from"].rpartition("-")[2]) >= committed
    for path in markers(cli.home):
        assert not Path(json.loads(path.read_text())["path"]).is_absolute()
    swept = cli("gc")
    assert swept.returncode == 0, swept.stderr
    exported = cli("export", "uniform:1", cli.home.parent / f"{cli.home.name}-model")
    assert exported.returncode == 0, exported.stderr
    for words in (("explain", "uniform:1"), ("logs", "uniform:1"), ("compare", "small")):
        said = cli(*words)
        assert str(before) + "/" not in said.stdout, said.stdout
