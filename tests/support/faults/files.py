"""Launches and a tracker whose state is in files: they live on when the controller's process does
not."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.domain.resolve import parse
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage
from tests.support.faults.world import FakeTracker


@dataclass
class FileExecutor:
    """The simulated executor, with a file for each process that lives."""

    storage: Storage
    name: str = "files"
    _holds: bool = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nothing is stopped by another process meanwhile: what was stopped writes no more."""
        if self._holds:
            yield
            return
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._holds = True
            try:
                yield
            finally:
                self._holds = False

    @property
    def _folder(self) -> Path:
        folder = self.storage.path("alive")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def running(self) -> dict[str, LaunchSpec]:
        """What lives, by its attempt's folder."""
        specs = [
            parse(LaunchSpec, self.storage.get(path.read_text()) or {}, path.name)
            for path in sorted(self._folder.glob("*.launch"))
        ]
        return {AttemptKeys(spec.run_id, spec.attempt).folder: spec for spec in specs}

    @property
    def launched(self) -> list[str]:
        """Every launch id in the order it was started."""
        return [str(row["launch"]) for row in self.storage.lines("launched.jsonl")]

    def launch(self, spec: LaunchSpec) -> None:
        """Start once; the claim in storage refuses a second start."""
        keys = AttemptKeys(spec.run_id, spec.attempt)
        if self.storage.get(keys.process) is None:
            self.storage.put(keys.process, {"launch": spec.launch_id})
            self.storage.append("launched.jsonl", {"launch": spec.launch_id})
            partial = self._folder / f"{spec.launch_id}.new"
            partial.write_text(keys.spec)
            partial.rename(self._alive(keys))

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """RUNNING while its file is there."""
        if self._alive(keys).exists():
            return LaunchStatus.RUNNING
        started = self.storage.get(keys.process) is not None
        return LaunchStatus.ENDED if started else LaunchStatus.ABSENT

    def stop(self, keys: AttemptKeys) -> None:
        """End a launch without an exit record."""
        with self.held():
            self._alive(keys).unlink(missing_ok=True)

    def _alive(self, keys: AttemptKeys) -> Path:
        return self._folder / f"{keys.run_id}-{keys.attempt:04d}.launch"


@dataclass
class FileTracker(FakeTracker):
    """Appends what it is told to a file."""

    file: Path = Path(os.devnull)

    def _note(self, what: str, of: str, said: Any = None) -> None:
        with self.file.open("a") as lines:
            lines.write(json.dumps([what, of, said]) + "\n")


def told_in(file: Path) -> list[tuple[str, str, Any]]:
    """What a FileTracker was told; a line cut by a kill is left out."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [tuple(json.loads(line)) for line in lines if line.endswith("]")]
