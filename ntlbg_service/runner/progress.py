"""What an attempt has done so far, told while it goes on and at its end."""

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
"""Whose versions an exit record names."""


@dataclass
class Progress:
    """What this attempt has done so far; rank 0 writes it down."""

    spec: LaunchSpec
    storage: Storage
    place: WorkerRank
    device: Device
    steps: int = 0
    """Optimizer steps of the whole run."""
    answers: int = 0
    staging: str = ""
    """What is brought to the node now, in words."""
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
        """Whether this worker is the one that tells."""
        return self.place.rank == 0

    @property
    def keys(self) -> AttemptKeys:
        """Where the attempt's results go."""
        return AttemptKeys(self.spec.run_id, self.spec.attempt)

    def stepped(self, step: int) -> None:
        """A step was taken."""
        self.steps = max(self.steps, step)

    def stage(self, words: str) -> None:
        """Something is brought to the node."""
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
        """Write the exit record; without a failure the attempt has finished. Raises
        AlreadyWrittenError where another worker's is there."""
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
    """A heartbeat with this progress, where this worker leads."""
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
