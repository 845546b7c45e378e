"""Launches whose fate is drawn from a seed, and a tracker that remembers what it was told."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ntlbg_service.domain.launch import CheckpointMarker, ExitRecord, Heartbeat, LaunchSpec, to_json
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage
from tests.support.simulated_executor import SimulatedExecutor, finishes

FATES = ("finish",) * 5 + ("lose",) * 3 + ("hang", "oom", "host", "user", "linger")


def drawn(*words: object) -> int:
    """A number of which every bit depends on the words alone."""
    data = ":".join(map(str, words)).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def fate_of(seed: int, run_id: str, attempt: int) -> str:
    """What an attempt comes to, whenever it runs."""
    return FATES[drawn(seed, run_id, attempt) % len(FATES)]


@dataclass
class World:
    """Runs what was launched, a little at a time. It lives on when controllers die."""

    storage: Storage
    seed: int
    executor: SimulatedExecutor
    most_at_once: int = 0
    _lived: dict[str, int] = field(default_factory=dict)

    def advance(self) -> None:
        """Let every process live a moment."""
        runs = [spec.run_id for spec in self.executor.running.values()]
        assert len(runs) == len(set(runs)), "two attempts of one run at once"
        self.most_at_once = max(self.most_at_once, len(runs))
        for spec in list(self.executor.running.values()):
            self._live(spec)

    def _live(self, spec: LaunchSpec) -> None:
        keys = AttemptKeys(spec.run_id, spec.attempt)
        lived = self._lived[keys.folder] = self._lived.get(keys.folder, 0) + 1
        assert spec.resume_from is None or Path(spec.resume_from).is_dir(), "nothing to resume from"
        fate = fate_of(self.seed, spec.run_id, spec.attempt)
        if lived == 1 or fate != "hang":
            self.storage.touch(keys.heartbeat, to_json(a_beat(spec, lived)))
        if 2 <= lived <= 4:
            self._checkpoint(spec, keys, 10 * spec.attempt + lived)
        if lived >= 2 + drawn(self.seed, keys.folder) % 3:
            self._end(spec, keys, fate)

    def _checkpoint(self, spec: LaunchSpec, keys: AttemptKeys, step: int) -> None:
        if drawn(self.seed, keys.folder, "checkpoint") % 2:
            folder = self.storage.path(keys.checkpoint(step))
            folder.mkdir(parents=True)
            marker = CheckpointMarker(attempt=spec.attempt, step=step, path=keys.checkpoint(step))
            self.storage.put(keys.marker(step), to_json(marker))

    def _end(self, spec: LaunchSpec, keys: AttemptKeys, fate: str) -> None:
        failures = {
            "oom": FailureClass.OUT_OF_MEMORY,
            "host": FailureClass.HOST_MEMORY,
            "user": FailureClass.USER,
        }
        if fate == "hang":
            return
        if fate == "linger":  # Its exit record is there, its process does not end.
            self.storage.put(keys.exit, to_json(finishes(spec)))
            return
        if fate in failures:
            record = ExitRecord(
                run_id=spec.run_id,
                attempt=spec.attempt,
                finished=False,
                failure=failures[fate],
                message="drawn",
                ended_at=0.0,
            )
            self.storage.put(keys.exit, to_json(record))
        elif fate == "finish":
            self.storage.put(keys.exit, to_json(finishes(spec)))
        self.executor.stop(keys)


def a_beat(spec: LaunchSpec, lived: int) -> Heartbeat:
    """A sign of life."""
    return Heartbeat(
        attempt=spec.attempt,
        time=float(lived),
        step=lived,
        pid=1,
        host="simulated",
        memory_mib=1.0,
        peak_memory_mib=1.0,
    )


@dataclass
class FakeTracker:
    """Takes what MLflow would, and keeps the order."""

    told: list[tuple[str, str, Any]] = field(default_factory=list)
    fails: Callable[[], None] = lambda: None
    """Raises TrackingError when MLflow is away."""

    def suite(self, suite_key: str, name: str, tags: Any, **_: Any) -> str:
        self._note("suite", suite_key)
        return suite_key

    def run_started(self, suite_key: str, run_id: str, *_: Any, **__: Any) -> None:
        self._note("started", run_id)

    def run_metrics(self, run_id: str, rows: Any) -> None:
        self._note("metrics", run_id)

    def run_finished(self, run_id: str, status: str, *_: Any, **__: Any) -> None:
        self._note("finished", run_id, status)

    def suite_finished(self, suite_key: str, status: str, _: Any) -> None:
        self._note("suite finished", suite_key, status)

    def _note(self, what: str, of: str, said: Any = None) -> None:
        self.fails()
        self.told.append((what, of, said))
