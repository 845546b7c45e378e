"""The heartbeat tells step, place and memory while the work goes on, and ends with it."""

import os
from pathlib import Path

from ntlbg_service.domain.launch import Heartbeat
from ntlbg_service.domain.resolve import parse
from ntlbg_service.runner.heartbeat import beating
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import LocalStorage
from tests.support.command_line import until

KEYS = AttemptKeys("run", 2)


def newest(storage: LocalStorage) -> Heartbeat | None:
    found = storage.get(KEYS.heartbeat)
    return parse(Heartbeat, found, KEYS.heartbeat) if found else None


def test_the_newest_step_is_told(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    steps = [0]

    def told(step: int) -> bool:
        beat = newest(storage)
        return beat is not None and beat.step == step

    with beating(storage, KEYS, lambda: steps[0], lambda: 3, awaited=lambda: 5, every=0.01):
        until(lambda: told(0), "the first heartbeat")
        steps[0] = 7
        until(lambda: told(7), "a heartbeat of step 7")
    beat = newest(storage)
    assert beat is not None
    assert (beat.attempt, beat.pid, beat.answers, beat.awaited) == (2, os.getpid(), 3, 5)
    assert 0 < beat.memory_mib <= beat.peak_memory_mib + 1


def test_storage_that_is_away_ends_no_work(tmp_path: Path) -> None:
    class Away(LocalStorage):
        asked = 0

        def touch(self, key: str, value: object) -> None:
            self.asked += 1
            raise OSError("no space left on device")

    storage = Away(tmp_path)
    with beating(storage, KEYS, lambda: 1, every=0.01):
        until(lambda: storage.asked > 1, "a second try")
