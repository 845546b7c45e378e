"""Storage: write-once, whole or not at all, nothing outside its root."""

import json
from pathlib import Path

import pytest

from ntlbg_service.domain.launch import CheckpointMarker, MetricLine, to_json
from ntlbg_service.storage.confined import LeavesStorageError
from ntlbg_service.storage.local import (
    AlreadyWrittenError,
    CorruptRecordError,
    LocalStorage,
    delete_atomically,
)
from ntlbg_service.storage.typed_records import read_record, read_records


def test_an_object_is_written_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("a/b.json", {"x": 1})
    storage.put("a/b.json", {"x": 1})
    with pytest.raises(AlreadyWrittenError, match=r"a/b\.json"):
        storage.put("a/b.json", {"x": 2})
    assert storage.get("a/b.json") == {"x": 1}
    assert storage.keys("a") == ["a/b.json"]


def test_several_are_written_each_once(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    values = {f"a/{number}.json": {"x": number} for number in range(20)}
    storage.put("a/7.json", {"x": 8})
    with pytest.raises(AlreadyWrittenError, match=r"a/7\.json"):
        storage.put_all(values)
    for number in (3, 19):
        assert storage.get(f"a/{number}.json") == {"x": number}
    storage.put_all({"b.json": {"x": 1}})
    storage.put_all({"b.json": {"x": 1}, "c.json": {"x": 2}})
    assert storage.get("c.json") == {"x": 2}


def test_the_same_in_another_layout_is_the_same(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    value = {"b": {"y": [1, 2], "x": None}, "a": 1.5}
    (tmp_path / "x.json").write_text(json.dumps(value, indent=1, sort_keys=True))
    storage.put("x.json", value)
    with pytest.raises(AlreadyWrittenError):
        storage.put("x.json", value | {"a": 2.5})
    storage.put("y.json", value)
    assert storage.path("y.json").read_text() == '{\n "a": 1.5,\n "b": {"x": null, "y": [1, 2]}\n}'


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.get("a.json") is None
    assert list(storage.lines("a.jsonl")) == []
    assert storage.keys("nowhere") == []


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.append("m.jsonl", {"step": 1})
    storage.append("m.jsonl", {"step": 2})
    with storage.path("m.jsonl").open("ab") as file:
        file.write(b'{"step": 3')
    assert [row["step"] for row in storage.lines("m.jsonl")] == [1, 2]
    assert [row["step"] for row in storage.lines("m.jsonl", start=1)] == [2]


@pytest.mark.parametrize(
    "key",
    [
        "../x",
        "a/../../x",
        "a/../b",
        "/etc/passwd",
        "out/x",
        "loop/x",
        "a\0b",
        "a\nb",
        "a\\b",
        "",
        "x" * 256,
        "a/" * 2500,
        "\udcff",
    ],
)
def test_no_key_leaves_the_root(tmp_path: Path, key: str) -> None:
    root = tmp_path / "storage"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(LeavesStorageError, match=r"^storage: key .{,120} (leaves|is|has)"):
        LocalStorage(root).path(key)


def test_what_lies_below_the_root_may_be_named_in_full(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.path(str(storage.path("runs/é x"))) == tmp_path.resolve() / "runs/é x"


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "[" * 100_000, "\xff"])
def test_an_object_that_is_none_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CorruptRecordError, match=r"^storage: x.json "):
        LocalStorage(tmp_path).get("x.json")


def test_an_object_of_another_kind_is_damaged(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    storage.put("x.json", {"attempt": "one"})
    with pytest.raises(
        CorruptRecordError, match=r"^storage: x.json: attempt: must be a valid integer"
    ):
        read_record(storage, CheckpointMarker, "x.json")
    assert read_record(storage, CheckpointMarker, "y.json") is None


def test_lines_that_are_no_records_are_left_out(tmp_path: Path) -> None:
    line = MetricLine(attempt=1, step=2, time=3.0, values={"x": 4.0})
    storage = LocalStorage(tmp_path)
    storage.append("m.jsonl", to_json(line))
    with storage.path("m.jsonl").open("ab") as file:
        file.write(b'[]\n7\n{"step": 1}\n\xff\n' + b"[" * 100_000 + b"\n")
    assert list(read_records(storage, MetricLine, "m.jsonl")) == [line]
    assert [row["step"] for row in storage.lines("m.jsonl")] == [2, 1]


def test_of_a_link_the_link_is_taken_away(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    link = tmp_path / "link"
    link.symlink_to(kept)
    delete_atomically(link)
    assert not link.is_symlink()
    assert (kept / "file").is_file()


def test_a_sign_of_life_is_overwritten_whole(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    assert storage.age("a/heartbeat.json") is None
    for step in range(3):
        storage.touch("a/heartbeat.json", {"step": step})
    assert storage.get("a/heartbeat.json") == {"step": 2}
    assert storage.keys("a") == ["a/heartbeat.json"]
    age = storage.age("a/heartbeat.json")
    assert age is not None and age >= 0


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    storage = LocalStorage(root)
    storage.put("a/x.json", {"x": 1})
    (root / "a" / "out.json").symlink_to(outside / "y.json")
    (root / "b").symlink_to(outside)
    for key in ("a/out.json", "b/y.json", "b"):
        with pytest.raises(LeavesStorageError, match="leaves the storage"):
            storage.put(key, {"x": 1})
    (root / "c").symlink_to(root / "a")
    assert storage.get("c/x.json") == {"x": 1}
    assert list(outside.iterdir()) == []
