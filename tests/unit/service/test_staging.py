"""Copies on a node: made once, checked, mended, shared, removed when room is short."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ntlbg_model.backbone.model import TINY
from ntlbg_model.config import DatasetConfig, ModelConfig
from ntlbg_model.data.longvideobench import ANNOTATIONS, VIDEOS, DatasetError
from ntlbg_model.modeling.load import load_backbone
from ntlbg_service.domain.errors import InfrastructureError, UserError
from ntlbg_service.domain.launch import LaunchSpec, Stage, Work
from ntlbg_service.runner.checkpoints import WorkerRank
from ntlbg_service.runner.staging import copying, sources
from ntlbg_service.runner.staging import fetch as bringing
from ntlbg_service.runner.staging import file_digests as prints
from ntlbg_service.runner.staging import staging_cache as shelf
from ntlbg_service.runner.staging.copying import CopyError, copy_checked
from ntlbg_service.runner.staging.fetch import CHECK_AGAIN_SECONDS, Tally
from ntlbg_service.runner.staging.file_digests import FileDigests
from ntlbg_service.runner.staging.sources import Source, data_of, from_hub, weights_of
from ntlbg_service.runner.staging.staged import root_of, staged
from ntlbg_service.runner.staging.staging_cache import NoRoomError, StagingCache
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.builders import cpu_fit, tiny_config
from tests.support.command_line import until
from tests.support.patience import PATIENCE

REPOSITORY = Path(__file__).parents[3]


def quiet(_: object) -> None:
    """Nobody listens."""


def source_in(folder: Path, files: dict[str, bytes], name: str = "weights") -> Source:
    source = folder / name
    for relative, content in files.items():
        (source / relative).parent.mkdir(parents=True, exist_ok=True)
        (source / relative).write_bytes(content)
    return Source(name, source, tuple(sorted(files)))


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


def bring(
    shelved: StagingCache, source: Source, storage: LocalStorage
) -> tuple[dict[str, bytes], int]:
    """What a copy holds, and how many files were copied for it."""
    tally = Tally()
    with shelved.shelved(source, FileDigests(storage, source.folder), quiet, tally) as copy:
        found = {
            path.relative_to(copy).as_posix(): path.read_bytes()
            for path in copy.rglob("*")
            if path.is_file()
        }
    return found, tally.copied_files


def the_copy(root: Path, name: str) -> Path:
    (found,) = root.glob(f"items/*/files/{name}")
    return found


def test_a_source_is_copied_once_and_kept(tmp_path: Path, storage: LocalStorage) -> None:
    files = {"model.safetensors": b"w" * 5000, "deep/config.json": b"{}"}
    source, here = source_in(tmp_path, files), StagingCache(tmp_path / "node")
    assert bring(here, source, storage) == (files, 2)
    assert bring(here, source, storage) == (files, 0)
    assert (tmp_path / "node").stat().st_mode & 0o077 == 0
    there = StagingCache(tmp_path / "other node")
    assert bring(there, source, storage) == (files, 2)
    times = {(source.folder / name).stat().st_mtime_ns for name in files}
    assert {the_copy(tmp_path / "node", name).stat().st_mtime_ns for name in files} == times


def test_more_files_of_a_source_are_added_and_a_changed_one_is_copied_anew(
    tmp_path: Path, storage: LocalStorage
) -> None:
    source = source_in(tmp_path, {"a": b"1", "b": b"2"})
    here = StagingCache(tmp_path / "node")
    assert bring(here, replace(source, names=("a",)), storage)[1] == 1
    assert bring(here, source, storage)[1] == 1
    (source.folder / "a").write_bytes(b"3")
    os.utime(source.folder / "a", ns=(1, 1))
    assert bring(here, source, storage) == ({"a": b"3", "b": b"2"}, 1)


def test_a_copy_that_was_changed_is_seen_and_mended(tmp_path: Path, storage: LocalStorage) -> None:
    source, here = (
        source_in(tmp_path, {"w": b"good", "x": b"fine"}),
        StagingCache(tmp_path / "node"),
    )
    bring(here, source, storage)
    the_copy(tmp_path / "node", "w").write_bytes(b"evil")
    assert bring(here, source, storage) == ({"w": b"good", "x": b"fine"}, 1)
    the_copy(tmp_path / "node", "x").unlink()
    assert bring(here, source, storage) == ({"w": b"good", "x": b"fine"}, 1)


def test_bytes_that_rot_unseen_are_found_a_day_later(tmp_path: Path, storage: LocalStorage) -> None:
    now = [1e9]
    source = source_in(tmp_path, {"w": b"good", "x": b"fine"})
    here = StagingCache(tmp_path / "node", clock=lambda: now[0])
    bring(here, source, storage)
    copy = the_copy(tmp_path / "node", "w")
    time_ns = copy.stat().st_mtime_ns
    copy.write_bytes(b"evil")
    os.utime(copy, ns=(time_ns, time_ns))
    now[0] += CHECK_AGAIN_SECONDS + 1
    assert bring(here, source, storage) == ({"w": b"good", "x": b"fine"}, 1)
    assert bring(here, source, storage)[1] == 0


def test_a_record_that_is_broken_costs_a_check_not_a_copy(
    tmp_path: Path, storage: LocalStorage
) -> None:
    source, here = source_in(tmp_path, {"w": b"good"}), StagingCache(tmp_path / "node")
    bring(here, source, storage)
    here.item(source).folder.joinpath("have.json").write_text('{"files": {"w"')
    assert bring(here, source, storage) == ({"w": b"good"}, 0)


def test_other_bytes_than_another_node_read_blame_this_node(
    tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_in(tmp_path, {"w": b"good"})
    bring(StagingCache(tmp_path / "first node"), source, storage)
    stat = (source.folder / "w").stat()
    (source.folder / "w").write_bytes(b"evil")  # What a bad cable makes of it.
    os.utime(source.folder / "w", ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    with pytest.raises(CopyError, match="other bytes than before, 2 times"):
        bring(StagingCache(tmp_path / "second node"), source, storage)
    assert not list((tmp_path / "second node").rglob("w"))
    assert not list((tmp_path / "second node").rglob(f"{copying.PART}*"))


def test_a_disk_that_gives_back_other_bytes_is_tried_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_in(tmp_path, {"w": b"good"})
    bad = ["0" * 64]
    monkeypatch.setattr(copying, "digest", lambda path: bad.pop() if bad else prints.digest(path))
    found = copy_checked(source.folder / "w", tmp_path / "copy", None, quiet)
    assert found.size == 4 and (tmp_path / "copy").read_bytes() == b"good"
    monkeypatch.setattr(copying, "digest", lambda _: "0" * 64)
    with pytest.raises(CopyError, match="other bytes than were written"):
        copy_checked(source.folder / "w", tmp_path / "copy2", None, quiet)
    assert not (tmp_path / "copy2").exists()


def test_a_source_that_changes_meanwhile_blames_nobody(tmp_path: Path) -> None:
    source = source_in(tmp_path, {"w": b"good"})

    def touched(_: int) -> None:
        os.utime(source.folder / "w", ns=(5, 5))

    with pytest.raises(InfrastructureError, match="changed while it was copied") as raised:
        copy_checked(source.folder / "w", tmp_path / "copy", None, touched)
    assert not isinstance(raised.value, CopyError)
    assert not (tmp_path / "copy").exists()


def test_what_was_unused_for_longest_goes_when_room_is_short(
    tmp_path: Path, storage: LocalStorage
) -> None:
    old, newer, wanted = (
        source_in(tmp_path, {"w": bytes([number]) * 1000}, f"s{number}") for number in range(3)
    )
    here = StagingCache(tmp_path / "node", limit=3100, spare=0.0)
    bring(here, old, storage)
    bring(here, newer, storage)
    os.utime(here.item(old).folder / "have.json", (1, 1))
    bring(here, wanted, storage)
    there = {path.name.partition("-")[0] for path in (tmp_path / "node/items").iterdir()}
    assert there == {"s1", "s2"}


def test_what_is_in_use_stays_and_what_fits_nowhere_removes_nothing(
    tmp_path: Path, storage: LocalStorage
) -> None:
    used = source_in(tmp_path, {"w": b"u" * 1000}, "used")
    other = source_in(tmp_path, {"w": b"o" * 2500}, "other")
    large = source_in(tmp_path, {"w": b"l" * 9000}, "large")
    here = StagingCache(tmp_path / "node", limit=3000, spare=0.0)
    with here.shelved(used, FileDigests(storage, used.folder), quiet, Tally()) as copy:
        with pytest.raises(NoRoomError):
            bring(here, other, storage)
        with pytest.raises(NoRoomError):
            bring(here, large, storage)
        assert (copy / "w").read_bytes() == b"u" * 1000
    assert bring(here, other, storage)[1] == 1
    assert not here.item(used).folder.exists()


def test_a_full_disk_is_no_room(
    tmp_path: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil._ntuple_diskusage(1000, 950, 50)
    monkeypatch.setattr(shelf.shutil, "disk_usage", lambda _: full)
    with pytest.raises(NoRoomError):
        bring(StagingCache(tmp_path / "node"), source_in(tmp_path, {"w": b"x"}), storage)


ANOTHER = """
import json, sys
from pathlib import Path
from ntlbg_service.runner.staging.file_digests import FileDigests
from ntlbg_service.runner.staging.fetch import Tally
from ntlbg_service.runner.staging.staging_cache import StagingCache
from ntlbg_service.runner.staging.sources import Source
from ntlbg_service.storage.local import LocalStorage

folder, node, storage, after = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
names = tuple(sorted(path.name for path in folder.iterdir()))
tally, source = Tally(), Source("w", folder, names)

def tell(words):
    if after and "GiB" in words and tally.copied_files == after:
        print("copying", flush=True)
        input()

digests = FileDigests(LocalStorage(Path(storage)), folder)
with StagingCache(node).shelved(source, digests, tell, tally) as copy:
    same = all((copy / name).read_bytes() == (folder / name).read_bytes() for name in names)
print(json.dumps([tally.copied_files, same]), flush=True)
"""


def another(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def told(process: subprocess.Popen[str]) -> Any:
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return source_in(tmp_path, {f"part-{n}": os.urandom(300_000) for n in range(6)}).folder


def test_processes_that_come_together_copy_once(tmp_path: Path, files: Path) -> None:
    place = (files, tmp_path / "node", tmp_path / "storage", 0)
    found = [told(process) for process in [another(*place) for _ in range(4)]]
    assert sorted(copied for copied, _ in found) == [0, 0, 0, 6]
    assert all(same for _, same in found)


def test_after_a_kill_in_mid_copy_the_next_one_completes(tmp_path: Path, files: Path) -> None:
    place = (files, tmp_path / "node", tmp_path / "storage")
    killed = another(*place, 3)
    assert killed.stdout and killed.stdout.readline() == "copying\n"
    waits = another(*place, 0)
    until(lambda: len(list((tmp_path / "node/locks").iterdir())) == 2, "the lock to copy")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    copied, same = told(waits)
    assert same and copied >= 3
    assert not list((tmp_path / "node").rglob(f"{copying.PART}*"))
    assert told(another(*place, 0)) == [0, True]


def test_what_is_written_down_in_between_is_not_copied_again(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch, storage: LocalStorage
) -> None:
    monkeypatch.setattr(bringing, "SAVE_FILES", 2)
    source = Source("w", files, tuple(sorted(path.name for path in files.iterdir())))
    here, tally = StagingCache(tmp_path / "node"), Tally()

    def fails(words: str) -> None:
        if tally.copied_files == 5:
            raise OSError("the power goes")

    with (
        pytest.raises(OSError, match="power"),
        here.shelved(source, FileDigests(storage, files), fails, tally),
    ):
        raise AssertionError("it was not whole")
    assert bring(here, source, storage)[1] == 2  # Four of the five were written down.


def spec_of(tmp_path: Path, **changes: Any) -> LaunchSpec:
    data = tmp_path / "data"
    (data / "needles/glitch" / VIDEOS).mkdir(parents=True, exist_ok=True)
    row = {
        "id": "q1",
        "video_id": "v1",
        "video_path": "v1.mp4",
        "question": "?",
        "candidates": ["a", "b"],
        "correct_choice": 0,
        "question_category": "T2E",
    }
    rows = [row, row | {"id": "q2", "video_path": "v2.mp4"}]
    (data / "needles/glitch" / ANNOTATIONS).write_text(json.dumps(rows))
    for name in ("v1.mp4", "v2.mp4", "unasked.mp4"):
        (data / "needles/glitch" / VIDEOS / name).write_bytes(name.encode())
    config = tiny_config()
    plain = LaunchSpec(
        launch_id="r-0001",
        run_id="r",
        attempt=1,
        work=Work.TRAIN,
        config=config,
        seed=1,
        fit=cpu_fit(config),
        storage=str(tmp_path / "storage"),
        data_root=str(data),
        cache=str(tmp_path / "cache"),
        stage=Stage(folder=str(tmp_path / "node"), everything=True),
    )
    return replace(plain, **changes)


def with_weights(spec: LaunchSpec, name: str) -> LaunchSpec:
    model = replace(spec.config.model, base_model=name)
    return replace(spec, config=replace(spec.config, model=model))


def test_an_attempt_reads_its_nodes_copies(tmp_path: Path, storage: LocalStorage) -> None:
    base = source_in(tmp_path, {"model.safetensors": b"w"}, "base").folder
    spec = with_weights(spec_of(tmp_path), str(base))
    said: list[str] = []
    folder = Path(spec.data_root) / "needles/glitch"
    with staged(spec, storage, WorkerRank(), said.append) as found:
        copy = found.of(folder)
        assert copy.is_relative_to(tmp_path / "node") and copy != folder
        assert sorted(path.name for path in copy.rglob("*.mp4")) == ["v1.mp4", "v2.mp4"]
        assert (copy / ANNOTATIONS).is_file()
        assert found.weights and (Path(found.weights) / "model.safetensors").read_bytes() == b"w"
        assert found.of(tmp_path / "elsewhere") == tmp_path / "elsewhere"
    assert said[-1] == "" and any("weights of base" in words for words in said)
    mark = storage.get(AttemptKeys("r", 1).staged(0))
    assert mark is not None and mark["copied_files"] == 4


def test_what_lies_here_already_is_read_where_it_lies(
    tmp_path: Path, storage: LocalStorage
) -> None:
    stage = Stage(folder=str(tmp_path / "node"))
    with staged(spec_of(tmp_path, stage=stage), storage, WorkerRank(), quiet) as found:
        assert found.weights is None and found.folders == {}
    assert not (tmp_path / "node/items").exists()
    with staged(spec_of(tmp_path, stage=None), storage, WorkerRank(), quiet) as found:
        assert found.folders == {}


def test_without_room_it_is_read_where_it_lies(tmp_path: Path, storage: LocalStorage) -> None:
    stage = Stage(folder=str(tmp_path / "node"), everything=True, most_gib=1e-9)
    with staged(spec_of(tmp_path, stage=stage), storage, WorkerRank(), quiet) as found:
        assert found.folders == {}


def test_ranks_wait_for_their_own_node_and_for_the_others(
    tmp_path: Path, storage: LocalStorage
) -> None:
    spec, keys = spec_of(tmp_path), AttemptKeys("r", 1)
    waits: list[str] = []

    def tell(words: str) -> None:
        waits.append(words)
        if len(waits) == 1:
            storage.put(keys.staged(0), {"folders": {}})
        if len(waits) == 2:
            storage.put(keys.staged(1), {"weights": "/node/1"})

    second = WorkerRank(rank=3, local_rank=1, node_rank=1, nodes=2)
    with staged(spec, storage, second, tell) as found:
        assert found.weights == "/node/1"
    assert waits == [
        "waits for other nodes, 0 of 2 are ready",
        "waits for other nodes, 1 of 2 are ready",
        "",
    ]


def test_who_waits_ends_when_another_node_fails(tmp_path: Path, storage: LocalStorage) -> None:
    spec, keys = spec_of(tmp_path), AttemptKeys("r", 1)
    storage.put(keys.exit, {"finished": False})
    other = WorkerRank(rank=1, local_rank=1, nodes=1)
    with (
        pytest.raises(InfrastructureError, match="another node"),
        staged(spec, storage, other, quiet),
    ):
        raise AssertionError("it was not staged")


@pytest.mark.parametrize("name", ["/nowhere/base", "./nowhere"])
def test_weights_that_are_not_there_are_the_users_business(tmp_path: Path, name: str) -> None:
    config = with_weights(spec_of(tmp_path), name).config
    with pytest.raises(UserError, match="is not there on"):
        weights_of(config, from_hub)


def test_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        data_of(DatasetConfig(name="x", path="x"), tmp_path)


def test_a_video_that_is_not_there_is_left_to_its_question(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    (Path(spec.data_root) / "needles/glitch" / VIDEOS / "v2.mp4").unlink()
    (dataset,) = spec.config.data.evaluation
    found = data_of(dataset, Path(spec.data_root))
    assert [name for name, _ in found.files()] == [ANNOTATIONS, "videos/v1.mp4"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The hub's cache of a node with one repository, and no way to the hub."""
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    repository = cache / "models--lab--base"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("c0ffee")
    (repository / "snapshots/c0ffee").mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs/b1").write_bytes(b"weights")
    (repository / "snapshots/c0ffee/model.safetensors").symlink_to("../../blobs/b1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield cache


def test_a_hub_repository_is_found_in_the_nodes_cache(
    hub: Path, tmp_path: Path, storage: LocalStorage
) -> None:
    spec = with_weights(spec_of(tmp_path), "lab/base")
    with ExitStack() as stack:
        found = stack.enter_context(staged(spec, storage, WorkerRank(), quiet))
        assert found.weights is not None
        copy = Path(found.weights) / "model.safetensors"
        assert copy.read_bytes() == b"weights" and not copy.is_symlink()
    with pytest.raises(UserError, match=r"'lab/other' is not in the cache of .*HF_HUB_OFFLINE"):
        from_hub("lab/other")


def test_a_hub_that_is_away_is_not_the_users_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> str:
        raise RuntimeError("connection reset\nby peer")

    monkeypatch.setattr("huggingface_hub.snapshot_download", away)
    with pytest.raises(InfrastructureError, match=r"lab/base: connection reset$"):
        from_hub("lab/base")


def test_a_folder_without_weights_is_left_where_it_is(tmp_path: Path) -> None:
    spec = spec_of(tmp_path)
    assert weights_of(spec.config, from_hub) is None  # The tiny one is part of the code.
    only_words = source_in(tmp_path, {"tokenizer.json": b"{}"}, "words").folder
    assert weights_of(with_weights(spec, str(only_words)).config, from_hub) is None


def test_the_folder_is_the_nodes_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    assert root_of(Stage(folder="$SCRATCH/ntlbg")) == tmp_path / "ntlbg"
    with pytest.raises(UserError, match="no such variable on"):
        root_of(Stage(folder="$NO_SUCH_DISK/ntlbg"))
    monkeypatch.setattr("ntlbg_service.runner.staging.staged.network_filesystem", lambda _: "nfs4")
    with pytest.raises(UserError, match=r"is on the network \(nfs4\)"):
        root_of(Stage(folder="/shared"))


def test_prints_of_two_writers_stand_side_by_side(tmp_path: Path, storage: LocalStorage) -> None:
    source = source_in(tmp_path, {"a": b"1", "b": b"2"})
    first, second = FileDigests(storage, source.folder), FileDigests(storage, source.folder)
    stat = (source.folder / "a").stat()
    first.note({"a": prints.FileDigest(stat.st_size, stat.st_mtime_ns, "x")})
    second.note({"b": prints.FileDigest(1, 1, "y")})
    third = FileDigests(storage, source.folder)
    assert third.known("a", stat) == "x"
    assert third.known("b", (source.folder / "b").stat()) is None  # It has changed since.


def test_a_base_that_is_read_from_a_copy_keeps_its_name(tmp_path: Path) -> None:
    copy = shutil.copytree(TINY, tmp_path / "copy")
    backbone = load_backbone(
        ModelConfig(base_model=str(TINY), tuning="lora"),
        dtype=torch.float32,
        device="cpu",
        attention="sdpa",
        copy=str(copy),
    )
    backbone.model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved/adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == str(TINY)


def test_loading_names_what_the_hub_lacks() -> None:
    assert sources._line(ValueError("\n  first\nsecond")) == "first"
