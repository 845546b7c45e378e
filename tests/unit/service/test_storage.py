"""Storage: write-once, whole or not at all, nothing outside its root."""

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
