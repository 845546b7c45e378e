"""Storage: write-once, whole or not at all, nothing outside its root."""

import json
from pathlib import Path

import pytest

from ntlbg_service.storage.local import AlreadyWrittenError, LocalStorage


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


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd"])
def test_no_key_leaves_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="leaves the storage"):
        LocalStorage(tmp_path).path(key)


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
        with pytest.raises(ValueError, match="leaves the storage"):
            storage.put(key, {"x": 1})
    (root / "c").symlink_to(root / "a")
    assert storage.get("c/x.json") == {"x": 1}
    assert list(outside.iterdir()) == []
