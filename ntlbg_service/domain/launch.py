"""What a runner is told and what it writes back. JSON on both sides, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, ClassVar

from ntlbg_model.config import STRICT, Config, Metric
from ntlbg_service.domain.counts import check_amount, check_count, check_time
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.recovery import FailureClass

FOLDER = "NTLBG_FOLDER"
"""Variable of a driver on the submitter's machine: the folder in which relative paths of a config
start, for it runs in the folder of its code."""


class Work(StrEnum):
    """What a launch does."""

    TRAIN = "train"
    """Fine-tune, then evaluate."""
    SWEEP = "sweep"
    """Search over configs with Ray Tune; each trial is a small training."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of a sweep with its fit, fixed before launch."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """`trial-003`."""
    point: dict[str, Any]
    """Dotted path to value: what this trial changes."""
    config: Config
    fit: Fit


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where each node keeps copies of what runs read."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    folder: str
    """Absolute, on the node's own disk; may begin with a variable of the node."""
    most_gib: float | None = None
    """What the copies may take. null: all but a tenth of the disk."""
    everything: bool = False
    """Also what lies on the node's own disks already."""


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """Everything a runner needs. Written to storage before the executor is told."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    launch_id: str
    run_id: str
    attempt: int
    work: Work
    config: Config
    seed: int
    fit: Fit
    storage: str
    """Root of the storage, as every node sees it when this is launched."""
    data_root: str
    """Relative data set paths start here."""
    cache: str
    """Folder of decoded frames."""
    nodes: tuple[str, ...] = ()
    """Ray's ids of the nodes it was placed on. Empty: whichever have GPUs of the fit's kind."""
    code: str | None = None
    """Folder of the code that it runs with. null: the code that is installed."""
    stage: Stage | None = None
    """Where weights and data are brought before it begins. null: they are read where they lie."""
    resume_from: str | None = None
    """Folder of a committed checkpoint of an earlier attempt."""
    trials: tuple[Trial, ...] = ()
    """The points of a sweep; empty otherwise."""
    metric: Metric = "accuracy"
    """What a sweep's trials are judged by."""
    concurrency: int = 1
    """Trials of a sweep that run at once."""


@dataclass(frozen=True, kw_only=True)
class ExitRecord:
    """The end of an attempt, written to storage before anyone is told."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    run_id: str
    attempt: int
    finished: bool
    failure: FailureClass | None = None
    message: str = ""
    """One line."""
    suspect: str = ""
    """Ray's id of the node whose copy of what the run reads failed its check."""
    ended_at: float
    """Unix time."""
    steps: int = 0
    """Optimizer steps of the whole run so far."""
    train_seconds: float | None = None
    """Wall time of training in this attempt."""
    waited_seconds: float | None = None
    """Of that, the time in which it waited for checkpoints to be in storage."""
    evaluation_seconds: float | None = None
    peak_memory_mib: float | None = None
    """Peak of the worker: allocated on the GPU, resident set on a CPU. Also of one that ran out.
    None where a CPU stood for a GPU."""
    results: dict[str, float] = field(default_factory=dict)
    """Final metrics, `<data set>/<metric>`."""
    versions: dict[str, str] = field(default_factory=dict)
    """Packages that took part."""

    def __post_init__(self) -> None:
        check_count("attempt", self.attempt)
        check_count("steps", self.steps)
        check_time("ended_at", self.ended_at)
        check_amount("train_seconds", self.train_seconds)
        check_amount("waited_seconds", self.waited_seconds)
        check_amount("evaluation_seconds", self.evaluation_seconds)
        check_amount("peak_memory_mib", self.peak_memory_mib)


@dataclass(frozen=True, kw_only=True)
class MetricLine:
    """One line of an attempt's metrics."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    attempt: int
    step: int
    time: float
    """Unix time."""
    values: dict[str, float]

    def __post_init__(self) -> None:
        check_count("attempt", self.attempt)
        check_count("step", self.step)
        check_time("time", self.time)


@dataclass(frozen=True, kw_only=True)
class CheckpointMarker:
    """Written after a checkpoint is complete on disk; without it there is no checkpoint."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    attempt: int
    step: int
    path: str
    """Key of the checkpoint's folder in storage. In older markers its absolute path when it was
    written."""

    def __post_init__(self) -> None:
        check_count("attempt", self.attempt)
        check_count("step", self.step)


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The newest sign of life of an attempt, overwritten every few seconds by rank 0."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    attempt: int
    time: float
    """Unix time by the worker's clock; `Storage.age` needs no clock of another machine."""
    step: int
    """Optimizer steps of the whole run so far."""
    pid: int
    host: str
    memory_mib: float | None
    """Held by the worker now: allocated on the GPU, resident set on a CPU. None where a CPU stands
    for a GPU."""
    peak_memory_mib: float | None
    answers: int = 0
    """Questions answered in this attempt."""
    staging: str = ""
    """What is brought to the node now, in words; empty before and afterwards."""
    awaited: int = 0
    """Step of the checkpoint that the training waits for now; 0 where it waits for none."""

    def __post_init__(self) -> None:
        check_count("attempt", self.attempt)
        check_time("time", self.time)
        check_count("step", self.step)
        check_count("pid", self.pid)
        check_amount("memory_mib", self.memory_mib)
        check_amount("peak_memory_mib", self.peak_memory_mib)
        check_count("answers", self.answers)
        check_count("awaited", self.awaited)


@dataclass(frozen=True, kw_only=True)
class WorkerLocation:
    """Where a worker of an attempt is in fact, written when it starts."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    rank: int
    node: str
    """Ray's id of the node."""
    host: str
    pid: int

    def __post_init__(self) -> None:
        check_count("rank", self.rank)
        check_count("pid", self.pid)


@dataclass(frozen=True, kw_only=True)
class StagedNode:
    """What one node did before an attempt could begin."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    host: str
    weights: str | None = None
    """Where the copy of the base model is; None where it is read where it lies."""
    folders: dict[str, str] = field(default_factory=dict)
    """Of each data set that was copied, where the copy is."""
    seconds: float
    copied_bytes: int
    copied_files: int

    def __post_init__(self) -> None:
        check_amount("seconds", self.seconds)
        check_amount("copied_bytes", self.copied_bytes / 1024**2)
        check_count("copied_files", self.copied_files)


Record = (
    ExitRecord
    | MetricLine
    | CheckpointMarker
    | Heartbeat
    | LaunchSpec
    | WorkerLocation
    | StagedNode
)


def to_json(record: Record) -> Mapping[str, Any]:
    """JSON-ready form of a record; `resolve.parse` is the inverse."""
    values: dict[str, Any] = _plain(record)
    return values


@lru_cache(maxsize=64)
def _parts(kind: Any) -> tuple[str, ...]:
    """Names of a dataclass's fields; none of any other type."""
    return tuple(part.name for part in fields(kind)) if is_dataclass(kind) else ()


def _plain(value: Any) -> Any:
    """Much faster than `asdict`, which copies what nobody changes."""
    kind: Any = type(value)
    if parts := _parts(kind):
        return {name: _plain(getattr(value, name)) for name in parts}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value
