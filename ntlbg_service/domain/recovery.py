"""What to do after an attempt that did not finish. Pure policy; the controller acts on it.

Every history ends: losses without progress are counted, losses in all are counted, and the ladder
after an out-of-memory has a last rung. Nothing here changes what a run learns.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ntlbg_service.domain.fitting.fallbacks import OomFallback
from ntlbg_service.domain.fitting.fit import Fit


class FailureClass(StrEnum):
    """Why an attempt ended."""

    USER = "user"
    """Wrong input found at run time. Retrying cannot help."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device ran out of memory; the same fit would again."""
    HOST_MEMORY = "host_memory"
    """The node ran out of memory and ended a process; nothing is known against the GPU's share."""
    NON_FINITE = "non_finite"
    """The loss became NaN or infinite."""
    BUG = "bug"
    """An exception of the code. Deterministic until shown otherwise."""
    INFRASTRUCTURE = "infrastructure"
    """A worker, node or the driver died; nothing is known against the run itself."""
    INTERRUPTED = "interrupted"
    """The service stopped it on purpose."""
    TIME_LIMIT = "time_limit"
    """Its run had used the hours that it was given."""


RETRIES = 3
"""Attempts in a row that may be lost without a further checkpoint before the run is given up."""
LOSSES = 30
"""Attempts of a run that may be lost in all."""
RUNGS = 12
"""Settings that are tried after an out-of-memory."""
HOST_RETRIES = 2
"""Attempts that may be lost to a node's memory."""
NODE_FAILURES = 2
"""Losses of a run on one node after which it is kept off that node."""
FIRST_WAIT_SECONDS = 5.0
"""Back-off after the first loss; each further one in a row doubles it."""
LONGEST_WAIT_SECONDS = 600.0
JITTER = 0.5
"""Share by which a wait is made longer or shorter, so that what was lost together does not come
back together."""

Climb = Callable[[], OomFallback | None]
"""The next settings after an out-of-memory; None where the ladder ends."""
Holds = Callable[[frozenset[str]], bool]
"""Whether the run could still be placed without these nodes."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """An attempt that did not finish, as the policy sees it."""

    failure: FailureClass
    nodes: tuple[str, ...] = ()
    """Where it ran, where that is known."""
    steps: int = 0
    """Step of the run's newest checkpoint when it ended."""
    on_cpu: bool = False
    """The node's memory was also the device's."""
    suspects: tuple[str, ...] = ()
    """Nodes whose copy of what the run reads failed its check."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """What a run may take on devices, all its attempts together, and what it took so far."""

    used: float = 0.0
    most: float | None = None
    """None: as long as it takes."""

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.most is not None and self.used >= self.most

    @property
    def words(self) -> str:
        """'1.5 of 2 h used'; nothing where there is no limit."""
        return "" if self.most is None else f"{self.used:.2g} of {self.most:g} h used"


UNLIMITED = Hours()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Retry or give up, and the words that `events` keep."""

    retry: bool
    reason: str
    wait_seconds: float = 0.0
    """Back-off before the next attempt."""
    exclude: frozenset[str] = frozenset()
    """Nodes that the run is kept off from now on, beside those it was kept off before."""
    fit: Fit | None = None
    """The settings of the next attempt, where they change."""
    failure: FailureClass | None = None
    """What ends the run, where that is not what ended its last attempt."""


def decide(
    history: Sequence[Ended],
    *,
    seed: str = "",
    climb: Climb = lambda: None,
    holds: Holds = lambda _: True,
    host_gib: Mapping[str, float] | None = None,
    hours: Hours = UNLIMITED,
) -> Decision:
    """What follows the newest of a run's failures (oldest first).

    `seed` (the run's id) makes the jitter of its waits; `host_gib` is the memory of every node. A
    run that has used its `hours` gets no further attempt, whatever ended the last one.
    """
    decision = _by_failure(history, seed, climb, holds, host_gib or {})
    if decision.retry and hours.spent:
        words = f"used its {hours.most:g} h"
        return Decision(retry=False, reason=words, failure=FailureClass.TIME_LIMIT)
    return decision


def _by_failure(
    history: Sequence[Ended],
    seed: str,
    climb: Climb,
    holds: Holds,
    host_gib: Mapping[str, float],
) -> Decision:
    newest = history[-1]
    match newest.failure:
        case FailureClass.INTERRUPTED:
            words = "stopped by the service; goes on from its newest checkpoint"
            return Decision(retry=True, reason=words)
        case FailureClass.INFRASTRUCTURE:
            return _lost(history, seed, holds)
        case FailureClass.HOST_MEMORY if not newest.on_cpu:
            return _host_memory(history, seed, holds, host_gib)
        case FailureClass.OUT_OF_MEMORY | FailureClass.HOST_MEMORY:
            return _out_of_memory(history, climb)
        case FailureClass.USER:
            words = "the input is wrong; another attempt would fail alike"
        case FailureClass.NON_FINITE:
            words = "the loss is not finite; another attempt would repeat it"
        case FailureClass.BUG:
            words = "the code raised; another attempt would raise alike"
        case FailureClass.TIME_LIMIT:
            words = "its hours were used"
    return Decision(retry=False, reason=words)


def wait_seconds(losses: int, seed: str) -> float:
    """Back-off after so many losses in a row; the same seed and number wait equally long."""
    plain = min(FIRST_WAIT_SECONDS * 2.0 ** (losses - 1), LONGEST_WAIT_SECONDS)
    drawn = hashlib.sha256(f"{seed}:{losses}".encode()).digest()
    share = int.from_bytes(drawn[:4], "big") / 2**32
    return plain * (1 - JITTER + 2 * JITTER * share)


def _lost(history: Sequence[Ended], seed: str, holds: Holds) -> Decision:
    lost = [past for past in history if past.failure is FailureClass.INFRASTRUCTURE]
    row = _without_progress(history)
    if len(lost) > LOSSES:
        words = f"lost to the infrastructure {len(lost)} times, {LOSSES} are allowed"
        return Decision(retry=False, reason=words)
    if row > RETRIES:
        words = f"lost to the infrastructure {row} times without progress, {RETRIES} are allowed"
        return Decision(retry=False, reason=words)
    reason = f"lost to the infrastructure ({row} of {RETRIES} allowed without progress)"
    suspects = frozenset(node for past in lost for node in past.suspects)
    bad = _failing_nodes(lost) | suspects
    exclude = bad if bad and holds(bad) else frozenset()
    if exclude:
        why = "twice on" if exclude - suspects else "a copy failed its check on"
        reason += f", {why} {', '.join(sorted(exclude))}: elsewhere from now on"
    return Decision(
        retry=True, reason=reason, wait_seconds=wait_seconds(row, seed), exclude=exclude
    )


def _without_progress(history: Sequence[Ended]) -> int:
    """Losses at the end of a history since a checkpoint was added."""
    count, best = 0, 0
    for past in history:
        if past.steps > best:
            count, best = 0, past.steps
        count += past.failure is FailureClass.INFRASTRUCTURE
    return count


def _failing_nodes(lost: Sequence[Ended]) -> frozenset[str]:
    counts = Counter(node for past in lost for node in set(past.nodes))
    return frozenset(node for node, count in counts.items() if count >= NODE_FAILURES)


def _host_memory(
    history: Sequence[Ended], seed: str, holds: Holds, host_gib: Mapping[str, float]
) -> Decision:
    """A node with more memory, or once more where it was: a neighbour may have taken it."""
    lost = sum(past.failure is FailureClass.HOST_MEMORY for past in history)
    where = ", ".join(history[-1].nodes) or "its node"
    if lost > HOST_RETRIES:
        words = f"the host memory of {where} ran out, {lost} times in all"
        return Decision(retry=False, reason=words)
    had = max((host_gib.get(node, 0.0) for node in history[-1].nodes), default=0.0)
    smaller = frozenset(node for node, gib in host_gib.items() if gib <= had)
    wait = wait_seconds(lost, seed)
    if smaller and holds(smaller):
        words = f"the host memory of {where} ({had:.0f} GiB) ran out: on a node with more"
        return Decision(retry=True, reason=words, wait_seconds=wait, exclude=smaller)
    words = f"the host memory of {where} ran out and no node has more: tried again in case another "
    words += f"process took it ({lost} of {HOST_RETRIES} allowed)"
    return Decision(retry=True, reason=words, wait_seconds=wait)


def _out_of_memory(history: Sequence[Ended], climb: Climb) -> Decision:
    kinds = (FailureClass.OUT_OF_MEMORY, FailureClass.HOST_MEMORY)
    tried = sum(past.failure in kinds for past in history)
    if tried > RUNGS:
        return Decision(retry=False, reason=f"out of memory with {tried} settings")
    rung = climb()
    if rung is None:
        words = "out of memory, and no settings take less on the devices that are here"
        return Decision(retry=False, reason=words)
    return Decision(retry=True, reason=rung.reason, fit=rung.fit)
