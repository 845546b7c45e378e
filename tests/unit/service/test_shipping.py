"""A run keeps the code that it was submitted with, and nodes need no other."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.launch import FOLDER
from ntlbg_service.executors.environment import cluster_driver, local_driver, with_code
from ntlbg_service.maintenance.debug_run import debug_spec
from ntlbg_service.storage.local import LocalStorage
from ntlbg_service.submission.code_snapshot import (
    CHECKOUT,
    PARTS,
    ship,
    shipped_version,
    version_of,
)
from tests.support.builders import SUITE, Service, new_run


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Few files in the places of the code."""
    root = tmp_path / "checkout"
    for part in PARTS:
        path = root / part if part.endswith(".py") else root / part / "__init__.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name = '{part}'\n")
    return root


def test_code_is_copied_once_and_stays_when_the_checkout_changes(
    checkout: Path, tmp_path: Path
) -> None:
    storage = LocalStorage(tmp_path / "storage")
    version = version_of(checkout)
    folder = ship(storage, version, checkout)
    assert version_of(folder) == version
    (checkout / "ntlbg_model/__init__.py").write_text("name = 'changed'\n")
    assert ship(storage, version, checkout) == folder
    assert version_of(folder) == version != version_of(checkout)
    assert [path.name for path in (storage.root / "code").iterdir()] == [version]


def test_code_that_changes_while_it_is_submitted_is_not_shipped(
    checkout: Path, tmp_path: Path
) -> None:
    storage = LocalStorage(tmp_path / "storage")
    version = version_of(checkout)
    (checkout / "ntlbg_service/runner/__init__.py").write_text("name = 'other'\n")
    with pytest.raises(UserError, match="changed while it was submitted"):
        ship(storage, version, checkout)
    assert not list((storage.root / "code").iterdir())


def test_a_runner_needs_nothing_but_what_is_shipped(tmp_path: Path) -> None:
    """Every module of the runner imports with the copy alone."""
    folder = ship(LocalStorage(tmp_path), shipped_version())
    modules = [
        f"ntlbg_service.runner.{path.stem}"
        for path in (CHECKOUT / "ntlbg_service/runner").glob("*.py")
        if path.stem != "__main__"
    ]
    script = f"import {', '.join(modules)}; print(ntlbg_service.__file__, ntlbg_service.runner)"
    said = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.count(str(folder)) == 2


def test_a_driver_has_its_runs_code_before_any_other(tmp_path: Path) -> None:
    service = Service(tmp_path)
    submitted = new_run()
    submitted.details["code"] = "abc"
    service.ledger.submit(SUITE, [submitted])
    service.controller.step()
    (spec,) = service.executor.running.values()
    folder = service.workspace.storage.resolve() / "code/abc"
    assert spec.code == str(folder)
    with pytest.raises(InfrastructureError, match=r"the code of run \w+ is gone"):
        with_code(cluster_driver({}), spec)
    folder.mkdir(parents=True)
    assert with_code({"PYTHONPATH": "/more"}, spec)["PYTHONPATH"] == f"{folder}:/more"
    assert with_code({}, spec)["PYTHONPATH"] == str(folder)
    # What is debugged is what is here.
    run = service.ledger.run(spec.run_id)
    assert debug_spec(service.ledger, run, service.workspace, tmp_path, None).code is None
    shutil.rmtree(folder)


def test_relative_paths_of_a_config_start_where_the_controller_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver of this machine runs in the folder of its code; on a cluster no folder is shared."""
    monkeypatch.chdir(tmp_path)
    assert local_driver({}, tmp_path / "token")[FOLDER] == str(tmp_path)
    assert FOLDER not in cluster_driver({})


def test_a_run_of_before_has_the_code_that_is_installed(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    run = service.ledger.run(attempt.run_id)
    assert launch_spec(run, attempt, service.workspace).code is None
    assert with_code({}, launch_spec(run, attempt, service.workspace)) == {}
