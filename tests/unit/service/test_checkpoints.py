"""A checkpoint is committed when all of it is in storage, and never before."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from ntlbg_service.runner.checkpoints import Checkpoints, WorkerRank
from ntlbg_service.runner.failures import classify
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage

KEYS = AttemptKeys("run", 1)


def saved(root: Path, step: int) -> Path:
    """What a trainer leaves on the node's disk."""
    folder = root / f"checkpoint-{step}"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "deep/states.bin").write_bytes(b"states")
    return folder


def test_a_marker_stands_for_a_whole_checkpoint(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    checkpoints = Checkpoints(storage, KEYS, WorkerRank())
    for step in (2, 4):
        checkpoints.save(saved(tmp_path, step), step)
    checkpoints.wait()
    assert storage.keys(KEYS.markers) == [KEYS.marker(2), KEYS.marker(4)]
    marker = storage.get(KEYS.marker(4))
    assert marker is not None
    assert (storage.path(marker["path"]) / "weights.bin").read_bytes() == bytes(range(256))
    assert (storage.path(marker["path"]) / "deep/states.bin").read_bytes() == b"states"
    assert not (tmp_path / "checkpoint-4").exists()


def test_a_checkpoint_waits_for_the_parts_of_other_nodes(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    first = Checkpoints(storage, KEYS, WorkerRank(nodes=2))
    other = Checkpoints(storage, KEYS, WorkerRank(rank=2, node_rank=1, nodes=2))
    first.save(saved(tmp_path / "a", 2), 2)
    assert storage.get(KEYS.marker(2)) is None
    folder = tmp_path / "b/checkpoint-2"
    folder.mkdir(parents=True)
    (folder / "rank-2.bin").write_bytes(b"part")
    other.save(folder, 2)
    other.wait()
    first.wait()
    marker = storage.get(KEYS.marker(2))
    assert marker is not None
    assert (storage.path(marker["path"]) / "rank-2.bin").read_bytes() == b"part"


def test_ranks_beside_a_nodes_first_copy_nothing(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    Checkpoints(storage, KEYS, WorkerRank(rank=1, local_rank=1)).save(saved(tmp_path, 2), 2)
    assert not (tmp_path / "storage").exists()


class KilledAtTheMarker(LocalStorage):
    """The process ends between the last byte of a checkpoint and its marker."""

    def put(self, key: str, value: object) -> None:
        if key == KEYS.marker(4):
            os.kill(os.getpid(), signal.SIGKILL)
        super().put(key, value)  # type: ignore[arg-type]


def save_two(root: Path) -> None:
    checkpoints = Checkpoints(KilledAtTheMarker(root / "storage"), KEYS, WorkerRank())
    for step in (2, 4):
        checkpoints.save(saved(root, step), step)
    checkpoints.wait()


def test_killed_before_the_marker_the_checkpoint_before_counts(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=save_two, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    storage = LocalStorage(tmp_path / "storage")
    assert (storage.path(KEYS.checkpoint(4)) / "weights.bin").is_file()
    assert storage.keys(KEYS.markers) == [KEYS.marker(2)]


def test_a_full_disk_is_one_line_and_no_marker(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "storage")
    target = storage.path(KEYS.checkpoint(2))
    target.mkdir(parents=True)
    (target / "weights.bin").symlink_to("/dev/full")
    checkpoints = Checkpoints(storage, KEYS, WorkerRank())
    checkpoints.save(saved(tmp_path, 2), 2)
    with pytest.raises(OSError, match="checkpoint of step 2 not written") as raised:
        checkpoints.wait()
    failure, message = classify(raised.value)
    assert failure == "infrastructure"
    assert "No space left on device" in message and "\n" not in message
    assert storage.get(KEYS.marker(2)) is None
    assert not target.exists()
    with pytest.raises(OSError):
        checkpoints.save(saved(tmp_path, 4), 4)
