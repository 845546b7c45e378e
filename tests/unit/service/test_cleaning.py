"""`ntlbg gc` on a home with checkpoints, half of one, and caches old and new."""

import os
import time
from pathlib import Path

import pytest

from ntlbg_service.domain.launch import CheckpointMarker, MetricLine, to_json
from ntlbg_service.results.attempts import newest_checkpoint
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.builders import SUITE, Service, new_run
from tests.support.life import command_on

OLD = time.time() - 100 * 86400


def write_checkpoint(service: Service, keys: AttemptKeys, step: int, loss: float) -> Path:
    """A committed checkpoint of 100 bytes."""
    folder = service.storage.path(keys.work) / f"step-{step:08d}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(100))
    line = MetricLine(attempt=keys.attempt, step=step, time=1.0, values={"train/loss": loss})
    service.storage.append(keys.metrics, to_json(line))
    marker = CheckpointMarker(attempt=keys.attempt, step=step, path=keys.checkpoint(step))
    service.storage.put(keys.marker(step), to_json(marker))
    return folder


def write_old(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (OLD, OLD))
    return path


def test_what_is_beyond_the_policy_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    ntlbg = command_on(service, monkeypatch, capsys)
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    keys = AttemptKeys(attempt.run_id, attempt.number)
    losses = {1: 0.9, 2: 0.1, 3: 0.5, 4: 0.4, 5: 0.3}
    folders = {step: write_checkpoint(service, keys, step, loss) for step, loss in losses.items()}
    half = service.storage.path(keys.work) / "step-00000006"
    half.mkdir()
    (half / "weights").write_bytes(bytes(50))
    frames = write_old(service.workspace.cache / "old.pixels.npy", 1000)
    trace = write_old(service.workspace.home / "traces" / "old.json", 10)
    fresh = service.workspace.cache / "new.pixels.npy"
    fresh.write_bytes(bytes(1000))

    running = ntlbg("gc", "--json", "--dry-run").json
    assert [row["kind"] for row in running["found"]] == ["traces"]

    service.executor.complete(attempt.run_id)
    service.controller.step()
    said = ntlbg("gc", "--dry-run").out
    assert "checkpoints       2       200 B" in said and "cut short         1        50 B" in said
    assert said.endswith("1.2 KiB would be freed; nothing was deleted\n")
    assert frames.exists() and half.exists() and folders[1].exists()

    assert ntlbg("gc").out.endswith("1.2 KiB freed\n")
    assert [step for step, folder in folders.items() if folder.exists()] == [2, 4, 5]
    assert not (half.exists() or frames.exists() or trace.exists()) and fresh.exists()
    newest = newest_checkpoint(service.storage, service.ledger.attempts_of(attempt.run_id))
    assert newest is not None and newest.step == 5
    assert ntlbg("gc").out == "0 B freed\n"


def test_a_delete_that_was_cut_short_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    ntlbg = command_on(service, monkeypatch, capsys)
    service.ledger.submit(SUITE, [new_run()])
    service.run_all()
    (run,) = service.ledger.current_runs("s")
    doomed = service.storage.path(AttemptKeys(run.run_id, 1).work) / ".gone-step-00000001"
    doomed.mkdir(parents=True)
    (doomed / "weights").write_bytes(bytes(70))
    assert "70 B freed" in ntlbg("gc").out
    assert not doomed.exists()


def test_trials_of_a_sweep_are_cleaned_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service(tmp_path / "home")
    ntlbg = command_on(service, monkeypatch, capsys)
    service.ledger.submit(SUITE, [new_run()])
    service.run_all()
    (run,) = service.ledger.current_runs("s")
    folders = {
        (trial, step): write_checkpoint(
            service, AttemptKeys(run.run_id, 1).trial(trial), step, 1 / step
        )
        for trial in ("trial-001", "trial-002")
        for step in (1, 2, 3)
    }
    assert ntlbg("gc", "--keep", "1").out.endswith("400 B freed\n")
    assert {key for key, folder in folders.items() if folder.exists()} == {
        ("trial-001", 3),
        ("trial-002", 3),
    }
