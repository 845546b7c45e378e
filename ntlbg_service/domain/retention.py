"""Which checkpoints of a run nobody needs any more. Pure policy; a controller acts on it while the
run goes on, and `ntlbg gc` afterwards."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

KEPT = 2
"""Newest checkpoints of a run that stay, where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A committed checkpoint of a run."""

    attempt: int
    step: int
    loss: float | None = None
    """Training loss measured last before it; None where none was."""


def superfluous(
    checkpoints: Sequence[Checkpoint],
    *,
    active: Collection[int] = (),
    held: Collection[Checkpoint] = (),
    keep: int = KEPT,
) -> tuple[Checkpoint, ...]:
    """Checkpoints of one run beyond the `keep` newest and the one with the least loss.

    Of attempts in `active` everything stays, and so does what is `held`: what an attempt that runs
    was told to go on from. The newest of all is what the next one goes on from. Raises ValueError
    for `keep` below 1.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep}")
    newest = sorted(checkpoints, key=_age, reverse=True)[:keep]
    best = min(
        (each for each in checkpoints if each.loss is not None),
        key=lambda each: (each.loss, -each.step, -each.attempt),
        default=None,
    )
    return tuple(
        each
        for each in checkpoints
        if each not in newest and each not in held and each != best and each.attempt not in active
    )


def _age(checkpoint: Checkpoint) -> tuple[int, int]:
    return checkpoint.step, checkpoint.attempt
