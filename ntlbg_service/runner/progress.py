"""Progress of an attempt, reported while it runs and at its end."""

import importlib.metadata
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, MetricLine, to_json
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.runner.checkpoints import Checkpoints, WorkerRank
from ntlbg_service.runner.device import Device
from ntlbg_service.runner.heartbeat import beating
from ntlbg_service.runner.staging.staged import Staged
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage

PACKAGES = ("ray", "torch", "transformers", "peft", "accelerate", "av", "numpy")
"""Packages whose versions an exit record contains."""


@dataclass
class Progress:
    """Progress of this attempt; rank 0 writes it to storage."""

    spec: LaunchSpec
    storage: Storage
    place: WorkerRank
    device: Device
    steps: int = 0
    """Optimizer steps of the whole run."""
    answers: int = 0
    staging: str = ""
    """Description of what is staged to the node now; empty for nothing."""
    staged: Staged = field(default_factory=Staged)
    checkpoints: Checkpoints = field(init=False)
    train_seconds: float | None = None
    evaluation_seconds: float | None = None
    peak_memory_mib: float | None = None
    results: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.storage, self.keys, self.place)

    @property
    def leads(self) -> bool:
        """True for the worker that reports, rank 0."""
        return self.place.rank == 0

    @property
    def keys(self) -> AttemptKeys:
        """Storage keys of the attempt."""
        return AttemptKeys(self.spec.run_id, self.spec.attempt)

    def stepped(self, step: int) -> None:
        """Record a step."""
        self.steps = max(self.steps, step)

    def stage(self, words: str) -> None:
        """Record what is staged now."""
        self.staging = words

    def metric(self, step: int, values: dict[str, float]) -> None:
        """Write a line of metrics."""
        self.stepped(step)
        if self.leads and values:
            line = MetricLine(attempt=self.spec.attempt, step=step, time=time.time(), values=values)
            self.storage.append(self.keys.metrics, to_json(line))

    def end(
        self, failure: FailureClass | None = None, message: str = "", suspect: str = ""
    ) -> None:
        """Write the exit record; without a failure the attempt has finished.

        Raises AlreadyWrittenError where another worker's exists.
        """
        record = ExitRecord(
            run_id=self.spec.run_id,
            attempt=self.spec.attempt,
            finished=failure is None,
            failure=failure,
            message=message,
            suspect=suspect,
            ended_at=time.time(),
            steps=self.steps,
            train_seconds=self.train_seconds,
            waited_seconds=None if self.train_seconds is None else self.checkpoints.waited_seconds,
            evaluation_seconds=self.evaluation_seconds,
            peak_memory_mib=self.peak_memory_mib,
            results=self.results,
            versions={name: importlib.metadata.version(name) for name in PACKAGES},
        )
        self.storage.put(self.keys.exit, to_json(record))


def signs_of_life(progress: Progress) -> AbstractContextManager[None]:
    """Return a context that sends heartbeats of this progress on rank 0, and none elsewhere."""
    if not progress.leads:
        return nullcontext()
    return beating(
        progress.storage,
        progress.keys,
        lambda: progress.steps,
        lambda: progress.answers,
        lambda: progress.staging,
        lambda: progress.checkpoints.awaited,
        measured=not progress.device.simulated,
    )
