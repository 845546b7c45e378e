"""The contract of every executor. It takes launches and does not access the ledger."""

from enum import StrEnum
from typing import Protocol

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.storage.layout import AttemptKeys


class LaunchStatus(StrEnum):
    """Status of a launch as its executor sees it; the exit record says how it ended."""

    ABSENT = "absent"
    """The launch never started, as far as can be known."""
    RUNNING = "running"
    ENDED = "ended"
    """The launch's processes are gone and hold no GPU."""


class Executor(Protocol):
    """Interface to start, watch and stop launches. Every call is idempotent.

    InfrastructureError means that the state is unknown and unchanged: the launch is neither absent
    nor lost.
    """

    name: str

    def launch(self, spec: LaunchSpec) -> None:
        """Start a launch whose spec is in storage.

        The runner refuses a second start of one attempt: it claims the attempt in storage before it
        does anything.
        """

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """Return the status of a launch, also of one that another process started."""

    def stop(self, keys: AttemptKeys) -> None:
        """Stop a launch and everything it started; return when no process or GPU memory is left."""
