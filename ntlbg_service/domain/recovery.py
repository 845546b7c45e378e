"""What to do after an attempt that did not finish. Pure policy; the controller acts on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class FailureClass(StrEnum):
    """Why an attempt ended."""

    USER = "user"
    """Wrong input found at run time. Retrying cannot help."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device ran out of memory; the same fit would again."""
    NON_FINITE = "non_finite"
    """The loss became NaN or infinite."""
    BUG = "bug"
    """An exception of the code. Deterministic until shown otherwise."""
    INFRASTRUCTURE = "infrastructure"
    """A worker, node or the driver died; nothing is known against the run itself."""
    INTERRUPTED = "interrupted"
    """The service stopped it on purpose."""


RETRIES = 3
"""Attempts that may be lost to the infrastructure before the run is given up."""


@dataclass(frozen=True)
class Decision:
    """Retry or give up, and the words that `events` keep."""

    retry: bool
    reason: str


def decide(failures: Sequence[FailureClass]) -> Decision:
    """What follows the newest of a run's failures (oldest first)."""
    newest = failures[-1]
    if newest is FailureClass.INTERRUPTED:
        return Decision(True, "stopped by the service; goes on from its newest checkpoint")
    if newest is FailureClass.INFRASTRUCTURE:
        lost = sum(failure is FailureClass.INFRASTRUCTURE for failure in failures)
        if lost <= RETRIES:
            return Decision(True, f"lost to the infrastructure ({lost} of {RETRIES} allowed)")
        return Decision(False, f"lost to the infrastructure {lost} times, {RETRIES} are allowed")
    reasons = {
        FailureClass.USER: "the input is wrong; another attempt would fail alike",
        FailureClass.OUT_OF_MEMORY: "out of memory; the same settings would be again",
        FailureClass.NON_FINITE: "the loss is not finite; another attempt would repeat it",
        FailureClass.BUG: "the code raised; another attempt would raise alike",
    }
    return Decision(False, reasons[newest])
