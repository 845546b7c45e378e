"""The contract of every executor. It is told about launches and knows no ledger."""

from enum import StrEnum
from typing import Protocol

from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.storage.layout import AttemptKeys


class LaunchStatus(StrEnum):
    """An executor's word about a launch; the exit record says how it ended."""

    ABSENT = "absent"
    """Never started, as far as can be known."""
    RUNNING = "running"
    ENDED = "ended"
    """Its processes are gone and hold no GPU."""


class Executor(Protocol):
    """Starts, watches and stops launches. Every call may be repeated.

    One that raises InfrastructureError has learned nothing: the launch is where it was, and is
    neither absent nor lost.
    """

    name: str

    def launch(self, spec: LaunchSpec) -> None:
        """Start a launch whose spec is in storage. A second start of one attempt is refused by
        the runner, which claims the attempt in storage before it does anything."""

    def status(self, keys: AttemptKeys) -> LaunchStatus:
        """Where a launch is, also one that another process started."""

    def stop(self, keys: AttemptKeys) -> None:
        """End a launch and everything it started; returns when nothing is left, on the GPUs
        neither."""
