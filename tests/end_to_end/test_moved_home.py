"""A home that is moved or restored elsewhere while a run trains: the run goes on at the new place.

With real Ray, once an executor; what each part does then is in `tests/unit/service/test_moved.py`.
"""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.ledger.backup import back_up
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.restore import restore
from ntlbg_service.storage.layout import AttemptKeys, step_of
from tests.support.command_line import Cli, lives, markers, until, write_suite
from tests.support.patience import PATIENCE
from tests.support.ray_cluster import RayCluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
FEW = ("--parallel", "1", "--heartbeat-timeout", "60")
"""One run at a time; a driver that writes no more is stopped after a minute."""


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
    """Train, end the controller, restore a backup elsewhere, move the home; both go on at once."""
    suite = write_suite(folder, **{"training.max_steps": 60})
    submitted = cli("submit", suite, "--variant", "uniform")
    assert submitted.returncode == 0, submitted.stderr
    controller = cli.start("controller", "--parallel", "1")
    until(lambda: markers(cli.home), "a committed checkpoint")
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    restored = Cli(folder / "restored", cli.data_root)
    moved = Cli(folder / "moved", cli.data_root)
    restore_elsewhere(cli.home, restored.home)
    cli.home.rename(moved.home)
    homes = (moved, restored)
    committed = {each.home: newest_step(each.home) for each in homes}
    try:
        controllers = [each.start("controller", "--until-idle", *FEW) for each in homes]
        for each, process in zip(homes, controllers, strict=True):
            assert process.wait(timeout=PATIENCE) == 0, log_of(each)
            went_on(each, committed[each.home])
    finally:
        moved.stop()
        restored.stop()
    assert not cli.home.exists()


def restore_elsewhere(home: Path, to: Path) -> None:
    """A backup of the ledger, and a copy of the storage as a backup of files has it."""
    source = open_database(f"sqlite:///{home / 'ledger.db'}")
    back_up(source, home.parent / "ledger.jsonl")
    source.dispose()
    shutil.copytree(home / "storage", to / "storage")
    target = open_database(f"sqlite:///{to / 'ledger.db'}")
    restore(target, home.parent / "ledger.jsonl")
    target.dispose()


def newest_step(home: Path) -> int:
    """Of the checkpoints that the first attempt committed."""
    return max(int(json.loads(path.read_text())["step"]) for path in markers(home))


def went_on(cli: Cli, committed: int) -> None:
    """The run of a home has finished from its newest checkpoint, and can be exported."""
    ledger = Ledger(open_database(f"sqlite:///{cli.home / 'ledger.db'}"), time.time)
    (run,) = ledger.current_runs(ledger.suite_keys()[0])
    assert run.state is RunState.FINISHED, log_of(cli)
    first, *_, last = ledger.attempts_of(run.run_id)
    ledger.close()
    assert first.state is AttemptState.LOST, log_of(cli)
    spec = json.loads(
        (cli.home / "storage" / AttemptKeys(run.run_id, last.number).spec).read_text()
    )
    assert spec["storage"] == str(cli.home / "storage")
    assert Path(spec["resume_from"]).is_relative_to(cli.home)
    assert step_of(spec["resume_from"]) >= committed
    swept = cli("gc")
    assert swept.returncode == 0, swept.stderr
    exported = cli("export", "uniform:1", cli.home.parent / f"{cli.home.name}-model")
    assert exported.returncode == 0, exported.stderr


def log_of(cli: Cli) -> str:
    """What the controller of a home said."""
    return (cli.home.parent / f"{cli.home.name}.log").read_text()
