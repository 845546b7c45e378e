"""A run tried in the foreground, run for real, and its model taken away and asked."""

import json
import os
import shutil
import time
from pathlib import Path

from ntlbg_service.controller import Controller
from ntlbg_service.controller.climbing import Ground
from ntlbg_service.controller.effects import Effects
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.nodes.inventory import inventory_of, read_nodes
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.workspace import Workspace
from tests.end_to_end.conftest import Cli, until, write_suite


def drive(cli: Cli) -> None:
    """What a controller does, until every run has ended."""
    workspace = Workspace(home=cli.home, data_root=cli.data_root)
    storage = LocalStorage(workspace.storage)
    ledger = Ledger(open_database(workspace.ledger_url), time.time)
    controller = Controller(
        effects=Effects(
            ledger=ledger, storage=storage, executor=LocalExecutor(storage, dict(os.environ))
        ),
        workspace=workspace,
        ground=Ground(inventory=inventory_of(read_nodes({}), 1)),
        clock=time.monotonic,
    )
    until(lambda: not controller.step(), "the end of the suite")


def test_a_run_is_debugged_then_exported_and_asked(cli: Cli, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    submitted = cli("submit", suite, "--variant", "ntlbg", "--json")
    assert submitted.returncode == 0, submitted.stderr
    found = json.loads(submitted.stdout)
    assert found["suite"] == "small@laptop" and len(found["new"]) == 2
    assert {row["state"] for row in found["runs"]} == {"queued"}
    again = json.loads(cli("submit", suite, "--variant", "ntlbg", "--json").stdout)
    assert again["new"] == [] and sorted(again["known"]) == sorted(found["new"])

    debugged = cli("debug", "selection/ntlbg:1", "--steps", "1")
    assert debugged.returncode == 0, debugged.stdout + debugged.stderr
    assert "nothing of it was recorded" in debugged.stdout
    assert "measured peak" in debugged.stdout and "glitch/accuracy" in debugged.stdout
    assert not (cli.home / "storage" / "runs").exists()
    assert cli("cancel", "selection/uniform:1").returncode == 0
    early = cli("export", "ntlbg:1", tmp_path / "model")
    assert early.returncode == 2 and "has no checkpoint yet: queued" in early.stderr

    drive(cli)
    status = cli("status", "--json")
    assert [row["state"] for row in json.loads(status.stdout)] == ["cancelled", "finished"]
    explained = cli("explain", "ntlbg:1").stdout
    assert "measured peak" in explained and "why cpu: the only kind" in explained
    assert cli("logs", "ntlbg:1").stdout

    wrong = cli("export", "ntlbg:1", tmp_path / "model", "--step", "5")
    assert wrong.returncode == 2 and "the nearest is" in wrong.stderr
    done = cli("export", "ntlbg:1", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert "at step 6" in done.stdout
    origin = json.loads((tmp_path / "model" / "ntlbg_run.json").read_text())
    assert origin["step"] == 6 and "glitch/accuracy" in origin["results"]
    assert not list((tmp_path / "model").glob("optimizer*"))
    shutil.rmtree(cli.home / "storage")

    (video, *_) = sorted((cli.data_root / "needles/glitch/videos").glob("*.mp4"))
    question = "how many symbols flashed in all?"
    asked = cli("ask", video, question, "--model", tmp_path / "model")
    assert asked.returncode == 0, asked.stderr
    assert "looked at 64 of 512 frames" in asked.stdout
    twice = cli("export", "ntlbg:1", tmp_path / "model")
    assert twice.returncode == 2
