"""All of a run's workers, or none: what to do where some of them do not come up."""

from ntlbg_service.domain.recovery import Decision, wait_seconds

UP_SECONDS = 900.0
"""How long the workers of a gang may take until all of them are there and the first step begins."""
TRIES = 5
"""How often in a row a gang may fail to come up before that counts as a loss."""
NOT_UP = "its workers did not all come up"
"""What is noted of such an attempt."""


def overdue(workers: int, silent_seconds: float) -> bool:
    """Whether the workers of a gang have taken longer than they may until they were heard of."""
    return workers > 1 and silent_seconds > UP_SECONDS


def roll_back(workers: int, silent_seconds: float, earlier: int, seed: str) -> Decision | None:
    """Whether an attempt that was never heard of gives its devices back, and waits again.

    `earlier`: attempts in a row before it that did not come up either. None where there is nothing
    to do yet, where one worker is no gang, and after too many tries: silence counts as ever then.
    The run keeps its turn in the queue and has lost nothing, so no loss is counted; the pause lets
    others have what it could not get together. `seed` (the run's id) makes its jitter.
    """
    if not overdue(workers, silent_seconds) or earlier >= TRIES:
        return None
    return Decision(
        retry=True,
        reason=f"{NOT_UP} within {UP_SECONDS:.0f} s: all {workers} GPUs are given back "
        f"({earlier + 1} of {TRIES} times in a row that do not count as a loss)",
        wait_seconds=wait_seconds(earlier + 1, seed),
    )
