"""An exported folder loads by itself, also where all weights were tuned."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from ntlbg_model.backbone.exported import base_of
from ntlbg_model.config import Config
from ntlbg_model.modeling.checkpoint import best_device, load_for_answers
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.modeling.model import save_plain
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import CheckpointMarker, ExitRecord, Work, to_json
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.records import Run
from ntlbg_service.maintenance.export import export
from ntlbg_service.process.permissions import following
from ntlbg_service.results.attempts import config_of_checkpoint
from ntlbg_service.storage.layout import AttemptKeys
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run, tiny_config


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path / "home")


def trained(service: Service, tuning: str) -> Run:
    """A run whose one attempt committed a checkpoint of step 4."""
    config = tiny_config()
    config = replace(config, model=replace(config.model, tuning=tuning))
    service.ledger.submit(SUITE, [replace(new_run(), config=asdict(config))])
    service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    assert attempt.state is AttemptState.LAUNCHED
    keys = AttemptKeys(attempt.run_id, 1)
    commit(service, keys, config)
    return service.ledger.run(attempt.run_id)


def commit(service: Service, keys: AttemptKeys, config: Config) -> None:
    """An attempt's checkpoint of step 4."""
    tuning = config.model.tuning
    folder = service.storage.path(keys.work) / "step-00000004"
    backbone = load_backbone(
        config.model, dtype=torch.float32, device="cpu", attention="sdpa", seed=1
    )
    if tuning == "full":
        save_plain(backbone.model, folder)
    else:
        backbone.model.save_pretrained(str(folder))
    for name in ("optimizer.pt", "rng_state.pth", "trainer_state.json"):
        (folder / name).write_bytes(b"x")
    marker = CheckpointMarker(attempt=1, step=4, path=keys.checkpoint(4))
    service.storage.put(keys.marker(4), to_json(marker))


def swept(service: Service, scores: dict[str, float], metric: str = "accuracy") -> Run:
    """A sweep at work, of whose trials those in `scores` have finished."""
    config = tiny_config()
    names = ("trial-001", "trial-002", "trial-003")
    trials = [
        {"name": name, "point": {"training.learning_rate": rate}, "config": asdict(tuned)}
        for rate, name in enumerate(names, start=1)
        for tuned in [replace(config, training=replace(config.training, learning_rate=rate))]
    ]
    details = {"data_root": "data", "trials": trials, "metric": metric}
    new = replace(new_run(), work=Work.SWEEP, details=details)
    (run_id,) = service.ledger.submit(SUITE, [new]).new
    run = service.ledger.run(run_id)
    start_attempt(service.ledger, run, run.fits[0], None, "simulated", "")
    for name, score in scores.items():
        keys = AttemptKeys(run_id, 1).trial(name)
        commit(service, keys, config)
        record = ExitRecord(
            run_id=keys.run_id,
            attempt=1,
            finished=True,
            ended_at=1.0,
            steps=4,
            results={f"glitch/{metric}": score},
        )
        service.storage.put(keys.exit, to_json(record))
    return service.ledger.run(run_id)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_it_loads_by_itself(service: Service, tmp_path: Path, tuning: str) -> None:
    run = trained(service, tuning)
    folder = tmp_path / "models" / "mine"
    done = export(service.ledger, service.storage, run, folder)
    assert done.step == 4
    assert done.size == sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    assert not {each.name for each in folder.iterdir()} & {"optimizer.pt", "trainer_state.json"}
    assert base_of(folder) == "tiny"
    loaded = load_for_answers(str(folder), best_device())
    assert loaded.tokenizer is not None
    config = config_of_checkpoint(folder)
    assert config is not None and config.model.tuning == tuning
    origin = json.loads((folder / "ntlbg_run.json").read_text())
    assert origin["run_id"] == run.run_id and origin["results"] == {}
    assert "Not measured." in (folder / "README.md").read_text()


def test_nothing_is_left_of_an_export_that_fails(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(service, "lora")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ntlbg_service.maintenance.export._readme", full)
    with pytest.raises(OSError, match="No space"):
        export(service.ledger, service.storage, run, tmp_path / "models" / "mine")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_in_use_is_refused(service: Service, tmp_path: Path) -> None:
    run = trained(service, "lora")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        export(service.ledger, service.storage, run, tmp_path / "mine")


def test_of_a_sweep_the_best_trial_is_exported(service: Service, tmp_path: Path) -> None:
    run = swept(service, {"trial-001": 0.25, "trial-003": 0.5})
    done = export(service.ledger, service.storage, run, tmp_path / "mine")
    assert (done.label, done.step) == ("g/ntlbg/trial-003 seed 1", 4)
    origin = json.loads((tmp_path / "mine" / "ntlbg_run.json").read_text())
    assert origin["run_id"] == f"{run.run_id}/trials/trial-003"
    assert origin["results"] == {"glitch/accuracy": 0.5}
    assert origin["config"]["training"]["learning_rate"] == 3
    assert load_for_answers(str(tmp_path / "mine"), best_device()).tokenizer is not None


def test_of_a_sweep_for_time_the_quickest_trial_is_exported(
    service: Service, tmp_path: Path
) -> None:
    run = swept(service, {"trial-001": 0.25, "trial-003": 0.5}, "seconds_per_question")
    done = export(service.ledger, service.storage, run, tmp_path / "mine")
    assert done.label == "g/ntlbg/trial-001 seed 1"


def test_a_sweep_without_a_finished_trial_has_nothing_to_export(
    service: Service, tmp_path: Path
) -> None:
    run = swept(service, {})
    with pytest.raises(UserError, match="g/ntlbg seed 1: no trial has finished: running"):
        export(service.ledger, service.storage, run, tmp_path / "mine")


def test_an_export_has_the_modes_of_where_it_goes(service: Service, tmp_path: Path) -> None:
    """Not those of the home, which may be a group's or nobody else's."""
    with following(tmp_path / "home") as before:
        run = trained(service, "lora")
        os.umask(0o022)
        export(service.ledger, service.storage, run, tmp_path / "model")
        os.umask(before)
    source = service.storage.path(AttemptKeys(run.run_id, 1).work)
    assert not any(path.stat().st_mode & 0o077 for path in source.rglob("*"))
    for path in (tmp_path / "model", *(tmp_path / "model").rglob("*")):
        assert path.stat().st_mode & 0o7777 == (0o755 if path.is_dir() else 0o644), path
