"""Rows of the ledger as the rest of the service sees them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.run_identity import Identity
from ntlbg_service.domain.states import AttemptState, DesiredState, RunState


@dataclass(frozen=True, kw_only=True)
class NewSuite:
    """A suite at submission."""

    key: str
    name: str
    description: str
    submitter: str
    """Who submits; of a suite that is there already, who submitted it first."""
    spec: Mapping[str, Any]
    """The file's content and its plan, kept for the record."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run at submission."""

    identity: Identity
    work: Work
    baseline: bool
    config: Mapping[str, Any]
    fits: tuple[Fit, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the work needs beside the config: data root, the points of a sweep."""
    priority: int = 0
    """Higher goes first."""
    max_hours: float | None = None
    """Hours that all of its attempts together may be on devices; None: as long as it takes."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run as it stands, as far as a list shows it."""

    run_id: str
    suite_key: str
    work: Work
    group: str
    variant: str
    seed: int
    state: RunState
    reason: str
    created_at: float
    updated_at: float
    priority: int
    """Higher goes first."""
    wanted: DesiredState
    """What a person asked for last; the controller acts on it."""
    not_before: float
    """Unix time before which no attempt starts: the pause after a failure."""
    excluded: tuple[str, ...]
    """Nodes that it does not go to again."""
    max_hours: float | None
    """Hours that all of its attempts together may be on devices; None: as long as it takes."""
    submitter: str
    """Whose it is: counts against this user's caps, and only this user and operators change it."""

    @property
    def label(self) -> str:
        """Name of the run for people: `group/variant seed 1`."""
        return label_of(self.group, self.variant, self.seed)


@dataclass(frozen=True, kw_only=True)
class Run(RunSummary):
    """A run as it stands, whole."""

    baseline: bool
    identity: Mapping[str, Any]
    config: Mapping[str, Any]
    fits: tuple[Fit, ...]
    details: Mapping[str, Any]
    next_fit: Fit | None
    """What the next attempt runs with in place of `fits`, once memory ran out."""


class InQueue(NamedTuple):
    """A waiting run as far as it may change while it waits."""

    run_id: str
    priority: int
    updated_at: float
    """When its state changed last; what else a decision needs of it is as it was then."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A waiting run as the scheduler needs it."""

    run_id: str
    suite_key: str
    group: str
    variant: str
    seed: int
    submitter: str
    priority: int
    submitted: float
    """Unix time."""
    excluded: tuple[str, ...]
    fits: tuple[Fit, ...]
    """Of which its next attempt has one; one object for all runs that have the same."""

    @property
    def label(self) -> str:
        """Name of the run for people, as `Run.label`."""
        return label_of(self.group, self.variant, self.seed)


def label_of(group: str, variant: str, seed: int) -> str:
    """`group/variant seed 1`."""
    return f"{group}/{variant} seed {seed}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an attempt was seen to do. None is not measured."""

    peak_mib: float | None = None
    """Peak memory of the worker."""
    seconds_per_step: float | None = None
    finished_steps: int | None = None
    """Optimizer steps of the whole run when the attempt ended."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt as it stands."""

    run_id: str
    number: int
    state: AttemptState
    fit: Fit
    resume_from: str | None
    """Key in storage of the checkpoint that it goes on from."""
    failure: FailureClass | None
    message: str
    launched_at: float
    ended_at: float | None
    nodes: tuple[str, ...] = ()
    """Names of the nodes it was placed on; empty where the executor chose."""
    measured: Measured = field(default_factory=Measured)

    @property
    def launch_id(self) -> str:
        """Name of the one launch that carries this attempt."""
        return launch_id(self.run_id, self.number)


@dataclass(frozen=True, kw_only=True)
class NewAttempt:
    """An attempt that is to start."""

    run_id: str
    fit: Fit
    resume_from: str | None
    executor: str
    reason: str
    """What its event says of why it is so."""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of an attempt, and what its run becomes."""

    attempt: Attempt
    state: AttemptState
    run_state: RunState
    failure: FailureClass | None = None
    message: str = ""
    reason: str = ""
    next_fit: Fit | None = None
    """What the next attempt runs with; None keeps what was so far."""
    not_before: float = 0.0
    exclude: Sequence[str] = ()
    """Nodes added to those that the run does not go to again."""
    measured: Measured = field(default_factory=Measured)


def launch_id(run_id: str, attempt: int) -> str:
    """A launch carries one attempt today, so its name is the attempt's."""
    return f"{run_id}-{attempt:04d}"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submission did, run by run."""

    new: tuple[str, ...]
    """Run ids queued now."""
    known: tuple[str, ...]
    """Run ids that were there already, in whatever state."""
    changed: Mapping[str, tuple[str, ...]]
    """New run id to what differs from the variant's last run: config, data, code."""
    superseded: tuple[str, ...]
    """Older queued runs of the same variants and seeds, cancelled now."""


@dataclass(frozen=True, kw_only=True)
class OutboxEntry:
    """One thing MLflow has to be told."""

    id: int
    topic: str
    suite_key: str
    run_id: str | None
    posts: int = 1
    """How often it was posted while it waited."""
    tries: int = 0
    """How often MLflow did not take it."""
    error: str = ""
    """Why not, the last time, in one line."""
    refused_at: float | None = None
    """Unix time since when it is set aside; None while it waits."""

    @property
    def about(self) -> str:
        """Everything with the same word is told in its order: the run, else the suite."""
        return self.run_id or f"suite {self.suite_key}"


@dataclass(frozen=True, kw_only=True)
class Drain:
    """A node that nothing new is to start on."""

    node: str
    since: float
    """Unix time."""
    who: str
    reason: str
    """In the words of who asked for it; may be empty."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """A user who may act on everybody's runs."""

    name: str
    since: float
    """Unix time."""
    who: str
    """By whom."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """Why something happened to a run."""

    time: float
    kind: str
    message: str
    who: str = ""
    """The user whose doing it was; empty where it was the service's."""
