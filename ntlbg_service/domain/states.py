"""The state machine of runs and attempts, as data."""

from enum import StrEnum

from ntlbg_service.domain.errors import NtlbgError


class RunState(StrEnum):
    """Where a run is. One transition function guards it."""

    QUEUED = "queued"
    """Submitted and durable; waits for a place."""
    RUNNING = "running"
    """An attempt is launched."""
    FINISHED = "finished"
    """Its newest attempt wrote an exit record that says so. Terminal."""
    FAILED = "failed"
    """No further attempt will be made. Terminal."""
    CANCELLED = "cancelled"
    """A person ended it. Terminal."""
    LOST = "lost"
    """Given up after attempts that ended without a word; nothing is known against the run itself.
    Terminal."""


class AttemptState(StrEnum):
    """Where an attempt is."""

    LAUNCHED = "launched"
    """Intent is written; the executor was or is about to be told."""
    FINISHED = "finished"
    FAILED = "failed"
    """Its exit record says why."""
    LOST = "lost"
    """Its process ended without an exit record."""
    INTERRUPTED = "interrupted"
    """Stopped by the service, for its run to go on in a new attempt or to end."""


class DesiredState(StrEnum):
    """What a person wants of a run; the controller makes it so."""

    RUN = "run"
    CANCEL = "cancel"
    """Stop it for good."""
    PAUSE = "pause"
    """Stop it, or do not start it, until `run` is wanted again."""

    @property
    def verb(self) -> str:
        """What somebody who wants it does."""
        return "resume" if self is DesiredState.RUN else self.value


TERMINAL = frozenset({RunState.FINISHED, RunState.FAILED, RunState.CANCELLED, RunState.LOST})
UNSUCCESSFUL = frozenset({RunState.FAILED, RunState.LOST})
"""Ends that nobody asked for."""

RUN_TRANSITIONS: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED}),
    RunState.RUNNING: frozenset(
        {
            RunState.QUEUED,
            RunState.FINISHED,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.LOST,
        }
    ),
    RunState.FINISHED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.LOST: frozenset(),
}


class TransitionError(NtlbgError):
    """A state change that the machine does not allow: a fault of the service, not of the user."""


def check_transition(old: RunState, new: RunState) -> None:
    """Raise TransitionError unless a run may go from `old` to `new`."""
    if new not in RUN_TRANSITIONS[old]:
        raise TransitionError(f"a run cannot go from {old} to {new}")
