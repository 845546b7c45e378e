"""A home that was moved, copied or restored elsewhere is whole; what still runs for the old place
does no harm."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from ntlbg_model.config import DataConfig, DatasetConfig
from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import CheckpointMarker, to_json
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.executors.job_client import JobClient
from ntlbg_service.executors.local import LocalExecutor
from ntlbg_service.executors.ray_jobs import RayJobsExecutor
from ntlbg_service.ledger.backup import back_up
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.restore import restore
from ntlbg_service.maintenance.export import export
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.attempts import newest_checkpoint
from ntlbg_service.runner.checkpoints import Checkpoints, WorkerRank
from ntlbg_service.storage.homes import bound, home_id
from ntlbg_service.storage.layout import AttemptKeys, key_of_checkpoint, place_of
from ntlbg_service.storage.local import LocalStorage, StorageUnavailableError
from ntlbg_service.submission.fingerprints import DataIdentities, data_root_of
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Service, new_run, tiny_config
from tests.support.life import command_on

Transition = Callable[[Path, Path], None]
KEYS = AttemptKeys("run", 1)


def rename(home: Path, to: Path) -> None:
    """A renamed folder; another mount point looks the same."""
    home.rename(to)


def copy(home: Path, to: Path) -> None:
    """The original stays."""
    shutil.copytree(home, to)


def restored(home: Path, to: Path) -> None:
    """A backup of the ledger, a copy of the storage; the original is gone."""
    source = open_database(f"sqlite:///{home / 'ledger.db'}")
    back_up(source, home.parent / "backup.jsonl")
    source.dispose()
    shutil.copytree(home / "storage", to / "storage")
    target = open_database(f"sqlite:///{to / 'ledger.db'}")
    restore(target, home.parent / "backup.jsonl")
    target.dispose()
    shutil.rmtree(home)


every_move = pytest.mark.parametrize("move", [rename, copy, restored])


def begun(folder: Path, steps: tuple[int, ...] = (2, 4), *, old: bool = False) -> Service:
    """A run whose first attempt trains and has committed checkpoints; `old`: with markers as
    earlier versions wrote them."""
    service = Service(folder)
    service.ledger.submit(SUITE, [new_run()])
    service.controller.step()
    (attempt,) = service.ledger.active_attempts()
    for step in steps:
        commit(service, AttemptKeys(attempt.run_id, attempt.number), step, old)
    return service


def commit(service: Service, keys: AttemptKeys, step: int, old: bool = False) -> None:
    folder = service.storage.folder(keys.checkpoint(step))
    (folder / "adapter.safetensors").write_bytes(bytes(100))
    path = str(folder) if old else keys.checkpoint(step)
    marker = CheckpointMarker(attempt=keys.attempt, step=step, path=path)
    service.storage.put(keys.marker(step), to_json(marker))


def weights(home: Path) -> int:
    return len(list(home.rglob("*.safetensors")))


@every_move
@pytest.mark.parametrize("old", [False, True], ids=["keys", "older markers"])
def test_gc_takes_nothing_that_a_moved_home_needs(
    move: Transition,
    old: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    service = begun(tmp_path / "home", old=old)
    service.run_all()
    service.ledger.close()
    move(tmp_path / "home", tmp_path / "other")
    moved = Service(tmp_path / "other")
    ntlbg = command_on(moved, monkeypatch, capsys)
    (run,) = moved.ledger.current_runs("s")
    assert ntlbg("gc").out == "0 B freed\n"
    assert weights(tmp_path / "other") == 2
    newest = newest_checkpoint(moved.storage, moved.ledger.attempts_of(run.run_id))
    assert newest is not None and newest.path == AttemptKeys(run.run_id, 1).checkpoint(4)
    for words in (("status",), ("explain", "ntlbg:1"), ("gc", "--dry-run")):
        said = ntlbg(*words)
        assert said.code == 0 and str(tmp_path / "home") not in said.out


@every_move
def test_a_run_goes_on_where_its_home_was_moved_to(move: Transition, tmp_path: Path) -> None:
    service = begun(tmp_path / "home", old=move is not rename)
    (first,) = service.ledger.active_attempts()
    service.ledger.close()
    move(tmp_path / "home", tmp_path / "other")

    moved = Service(tmp_path / "other")
    while not moved.executor.running:  # The clock moves: the back-off ends.
        moved.controller.step()
    (spec,) = moved.executor.running.values()
    newest = moved.storage.path(AttemptKeys(first.run_id, 1).checkpoint(4))
    assert (spec.attempt, spec.resume_from) == (2, str(newest))
    assert spec.storage == str(moved.storage.root)
    moved.run_all()
    assert moved.ledger.run(first.run_id).state is RunState.FINISHED
    attempts = moved.ledger.attempts_of(first.run_id)
    assert [each.state for each in attempts] == [AttemptState.LOST, AttemptState.FINISHED]
    assert move is copy or not (tmp_path / "home").exists()


def test_an_older_attempt_resumes_from_where_its_checkpoint_lies_now(tmp_path: Path) -> None:
    service = begun(tmp_path / "home")
    (first,) = service.ledger.active_attempts()
    service.executor.complete(first.run_id)
    service.controller.step()
    service.ledger.submit(SUITE, [new_run(seed=2)])
    run = next(run for run in service.ledger.current_runs("s") if run.seed == 2)
    key = AttemptKeys(first.run_id, 1).checkpoint(4)
    start_attempt(service.ledger, run, run.fits[0], f"/old/home/storage/{key}", "simulated", "")
    (attempt,) = service.ledger.attempts_of(run.run_id)
    assert attempt.resume_from == key
    spec = launch_spec(run, attempt, service.workspace)
    assert spec.resume_from == str(service.storage.path(key))


def test_a_spec_of_the_old_place_is_not_launched(tmp_path: Path) -> None:
    service = Service(tmp_path / "home")
    service.ledger.submit(SUITE, [new_run()])
    (run,) = service.ledger.current_runs("s")
    start_attempt(service.ledger, run, run.fits[0], None, "simulated", "")
    (attempt,) = service.ledger.attempts_of(run.run_id)
    service.controller.effects.write([launch_spec(run, attempt, service.workspace)])
    service.ledger.close()
    rename(tmp_path / "home", tmp_path / "other")

    moved = Service(tmp_path / "other")
    moved.run_all()
    states = [each.state for each in moved.ledger.attempts_of(run.run_id)]
    assert states == [AttemptState.INTERRUPTED, AttemptState.FINISHED]
    assert moved.executor.launched == [f"{run.run_id}-0002"]
    assert not (tmp_path / "home").exists()


def test_a_checkpoint_that_cannot_be_understood_stays_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    service = begun(tmp_path / "home", (1, 2, 3, 4))
    service.run_all()
    ntlbg = command_on(service, monkeypatch, capsys)
    (run,) = service.ledger.current_runs("s")
    keys = AttemptKeys(run.run_id, 1)
    service.storage.path(keys.marker(4)).write_text('{"attempt": 99, "path": "/elsewhere"}')
    said = ntlbg("gc", "--dry-run").out
    name = "s: g/ntlbg seed 1, attempt 1: step-0000000"
    assert f"checkpoints: {name}1 (100 B): older than the newest 2" in said
    assert f"kept: {name}4 (100 B): its marker cannot be understood" in said
    found = ntlbg("gc", "--json").json
    assert [(row["kind"], row["run"]) for row in found["unclear"]] == [
        ("unclear", "s: g/ntlbg seed 1, attempt 1")
    ]
    with pytest.raises(UserError, match=r"the marker of .*4 cannot be understood; --step .* 2, 3"):
        export(service.ledger, service.storage, run, tmp_path / "model")

    for step in (2, 3, 4):
        service.storage.path(keys.marker(step)).unlink()
    assert "finished, without a marker" in ntlbg("gc").out
    assert service.storage.path(keys.checkpoint(4)).is_dir()


@pytest.mark.parametrize(
    "act",
    [
        lambda storage: storage.put("runs/b.json", {}),
        lambda storage: storage.touch("runs/a.json", {}),
        lambda storage: storage.append("runs/a.jsonl", {}),
        lambda storage: storage.folder("runs/b"),
        lambda storage: storage.get("runs/a.json"),
        lambda storage: storage.age("runs/a.json"),
        lambda storage: storage.keys("runs"),
        lambda storage: list(storage.lines("runs/a.jsonl")),
    ],
    ids=["put", "touch", "append", "folder", "get", "age", "keys", "lines"],
)
def test_a_storage_that_was_moved_is_away_and_not_made_anew(
    act: Callable[[LocalStorage], Any], tmp_path: Path
) -> None:
    storage = LocalStorage(tmp_path / "home" / "storage")
    storage.put("runs/a.json", {"a": 1})
    rename(tmp_path / "home", tmp_path / "other")
    with pytest.raises(StorageUnavailableError, match="is gone: was it moved, or not mounted"):
        act(storage)
    assert not (tmp_path / "home").exists()


def test_a_checkpoint_is_not_copied_to_where_the_home_was(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "home" / "storage")
    storage.put("runs/a.json", {"a": 1})
    saved = tmp_path / "saved" / "deep"
    saved.mkdir(parents=True)
    (saved / "states.bin").write_bytes(b"states")
    rename(tmp_path / "home", tmp_path / "other")
    checkpoints = Checkpoints(storage, KEYS, WorkerRank())
    checkpoints.save(saved.parent, 2)
    with pytest.raises(OSError, match="checkpoint of step 2 not written"):
        checkpoints.wait()
    assert not (tmp_path / "home").exists()


def test_a_driver_writes_nothing_into_the_home_that_took_its_place(tmp_path: Path) -> None:
    root = tmp_path / "home" / "storage"
    storage = bound(root)
    storage.put(KEYS.process, {"pid": 1})
    worker = bound(root, storage.home)
    rename(tmp_path / "home", tmp_path / "other")
    assert home_id(LocalStorage(root)) != storage.home
    for each in (storage, worker):
        for write in (each.put, each.touch, each.append):
            with pytest.raises(StorageUnavailableError, match="is another home by now"):
                write(KEYS.exit, {"finished": True})
    assert [path.name for path in root.iterdir()] == ["home.json"]
    assert home_id(LocalStorage(tmp_path / "other" / "storage")) == storage.home


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that was started for an attempt of a home, as its driver would be."""
    storage = LocalStorage(tmp_path / "home" / "storage")
    storage.put(KEYS.spec, {"storage": str(storage.root)})
    waits = [sys.executable, "-c", "input()", "-m", str(storage.path(KEYS.spec))]
    with subprocess.Popen(waits, stdin=subprocess.PIPE) as process:
        storage.put(
            KEYS.process, {"pid": process.pid, "started": psutil.Process(process.pid).create_time()}
        )
        yield process
        process.kill()


def test_a_driver_is_adopted_by_its_moved_home_and_never_by_a_copy(
    driver: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    copy(tmp_path / "home", tmp_path / "copy")
    copied = LocalExecutor(LocalStorage(tmp_path / "copy" / "storage"), {})
    assert copied.status(KEYS) is LaunchStatus.ENDED
    copied.stop(KEYS)
    assert driver.poll() is None

    rename(tmp_path / "home", tmp_path / "moved")
    moved = LocalExecutor(LocalStorage(tmp_path / "moved" / "storage"), {})
    assert moved.status(KEYS) is LaunchStatus.RUNNING
    moved.stop(KEYS)
    driver.wait()
    assert moved.status(KEYS) is LaunchStatus.ENDED


@dataclass
class Cluster:
    """Ray's jobs by their ids."""

    jobs: dict[str, Any] = field(default_factory=dict)

    def submit_job(self, submission_id: str, **_: Any) -> None:
        self.jobs[submission_id] = type("Job", (), {"status": "RUNNING", "job_id": None})()

    def get_job_info(self, submission_id: str) -> Any:
        if submission_id not in self.jobs:
            raise RuntimeError("Request failed with status code 404")
        return self.jobs[submission_id]

    def stop_job(self, submission_id: str) -> None:
        self.jobs[submission_id].status = "STOPPED"


def test_jobs_are_adopted_by_their_moved_home_and_never_by_a_copy(tmp_path: Path) -> None:
    cluster = Cluster()

    def executor(name: str) -> RayJobsExecutor:
        client = JobClient("head", connect=lambda _: cluster)
        storage = LocalStorage(tmp_path / name / "storage")
        return RayJobsExecutor(storage, {"RAY_ADDRESS": "head"}, client)

    def launch(name: str, attempt: int) -> None:
        service = Service(tmp_path / name)
        service.ledger.submit(SUITE, [new_run()])
        (run,) = service.ledger.current_runs("s")
        made = start_attempt(service.ledger, run, run.fits[0], None, "ray_jobs", "")
        spec = replace(launch_spec(run, made, service.workspace), run_id="run", attempt=attempt)
        service.storage.put(AttemptKeys("run", attempt).spec, to_json(spec))
        service.storage.put(AttemptKeys("run", attempt).process, {"pid": 1})
        executor(name).launch(spec)
        service.ledger.close()

    launch("home", 1)
    copy(tmp_path / "home", tmp_path / "copy")
    executor("copy").stop(KEYS)
    assert [job.status for job in cluster.jobs.values()] == ["RUNNING"]
    second = AttemptKeys("run", 2)
    assert executor("copy").submission_id(second) != executor("home").submission_id(second)

    rename(tmp_path / "home", tmp_path / "moved")
    moved = executor("moved")
    assert moved.status(KEYS) is LaunchStatus.RUNNING
    moved.stop(KEYS)
    assert moved.status(KEYS) is LaunchStatus.ENDED
    older = f"run-0003-{home_id(LocalStorage(tmp_path / 'moved' / 'storage'))}"
    cluster.submit_job(older)
    assert moved.status(AttemptKeys("run", 3)) is LaunchStatus.RUNNING


def test_data_is_found_where_it_was_moved_to(tmp_path: Path) -> None:
    question = {
        **dict.fromkeys(("id", "video_id", "question", "question_category"), "q"),
        "video_path": "a.mp4",
        "candidates": ["yes", "no"],
    }

    def data(root: Path) -> Path:
        (root / "set").mkdir(parents=True)
        (root / "set" / "lvb_val.json").write_text(json.dumps([question]))
        return root

    config = replace(
        tiny_config(), data=DataConfig(evaluation=(DatasetConfig(name="set", path="set"),))
    )
    home = tmp_path / "home"
    inside = Workspace(home=home, data_root=data(home / "data"))
    assert inside.data_root_kept == "data"
    beside = Workspace(home=home, data_root=tmp_path / "lab")
    assert beside.data_root_kept == str(tmp_path / "lab")
    digest = DataIdentities(inside.data_root).of(config)

    def found(kept: str, digest: str) -> Path:
        return data_root_of(kept, digest, config, home=home, now=inside.data_root)

    assert found("data", digest) == home / "data"
    assert found(f"{tmp_path}/gone/data", digest) == home / "data"
    assert found(f"{tmp_path}/gone/data", "other data") == tmp_path / "gone/data"
    assert found(str(data(tmp_path / "lab")), digest) == tmp_path / "lab"


@pytest.mark.parametrize("root", ["", "/a/storage/", "/runs/r/attempt-0001/train/storage/"])
def test_a_checkpoint_is_named_by_its_key_wherever_it_lay(root: str) -> None:
    key = "runs/r2/attempt-0003/train/step-00000040"
    assert key_of_checkpoint(f"{root}{key}") == key
    assert place_of(f"{root}{key}/") == ("r2", 3, 40)
    assert key_of_checkpoint("elsewhere") == "elsewhere"
    assert AttemptKeys("r2", 3).below(f"{root}{key}") == key
    assert AttemptKeys("r2", 4).below(f"{root}{key}") is None
