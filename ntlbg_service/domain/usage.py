"""GPU-hours that attempts held: by whom, useful or not, and why not.

An attempt holds its GPUs from its start until a controller has seen its end. What it did counts
where its run ended well or goes on from it; the rest is wasted, by what ended it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.states import AttemptState, RunState

CANCELLED = "cancelled"
"""The cause that is no failure: somebody ended the run."""
WORDS = {
    FailureClass.INFRASTRUCTURE.value: "lost to infrastructure",
    FailureClass.OUT_OF_MEMORY.value: "out of memory",
    FailureClass.HOST_MEMORY.value: "node out of memory",
    FailureClass.USER.value: "user error",
    FailureClass.BUG.value: "the code raised",
    FailureClass.NON_FINITE.value: "loss not finite",
    FailureClass.TIME_LIMIT.value: "hours used up",
    FailureClass.INTERRUPTED.value: "stopped and begun anew",
    CANCELLED: "cancelled",
}
"""Every cause for people."""


class By(StrEnum):
    """What hours are added up by."""

    USER = "user"
    SUITE = "suite"
    STATE = "state"
    """The state that the run is in now."""


@dataclass(frozen=True)
class Origin:
    """The checkpoint that an attempt goes on from."""

    run_id: str
    attempt: int
    step: int


@dataclass(frozen=True, kw_only=True)
class AttemptInterval:
    """One attempt as what it held and did."""

    run_id: str
    number: int
    user: str
    suite: str
    run_state: RunState
    state: AttemptState
    failure: FailureClass | None
    gpus: float
    """A shared GPU is its part."""
    started: float
    """Unix time, as the others."""
    ended: float | None
    """None while it runs."""
    origin: Origin | None = None
    """None where it began at step 0."""
    steps: int | None = None
    """Step that it came to; None where that is not known."""
    kept: int | None = None
    """Step of the checkpoint that a waiting run would go on from, where this attempt made it."""

    def of(self, by: By) -> str:
        """What it is added up under."""
        return {By.USER: self.user, By.SUITE: self.suite, By.STATE: self.run_state.value}[by]

    @property
    def begun(self) -> int:
        """Step that it began at."""
        return self.origin.step if self.origin else 0


@dataclass(frozen=True, kw_only=True)
class Used:
    """Hours times GPUs. `useful`, `running` and what is wasted add up to `hours`."""

    hours: float = 0.0
    useful: float = 0.0
    """Of finished runs, and behind the checkpoints that runs go on from."""
    running: float = 0.0
    """Of attempts that run now, so far."""
    wasted: dict[str, float] = field(default_factory=dict)
    """By cause: a FailureClass or `cancelled`."""
    redone: float = 0.0
    """Of what is wasted, the part after the last checkpoint of attempts that were gone on from."""
    runs: int = 0
    attempts: int = 0

    @property
    def lost(self) -> float:
        """All that is wasted."""
        return sum(self.wasted.values())


@dataclass(frozen=True)
class _Fate:
    """What became of an attempt's work: `cause` is None where it counts."""

    cause: str | None
    share: float
    """Part of it that went the way of its run; the rest ended with the attempt itself."""


def usage(
    attempt_intervals: Sequence[AttemptInterval], by: By, now: float, since: float | None = None
) -> dict[str, Used]:
    """Hours of the attempts, added up; by name, who used most first.

    Only what lies between `since` and `now` counts, both Unix time. The steps of an attempt are
    taken to be equally long; where it is not known how far it came, all of it was gone on from.
    """
    fates = _fates(attempt_intervals)
    found: dict[str, list[tuple[AttemptInterval, Used]]] = {}
    for spell in attempt_intervals:
        used = _used(spell, fates[spell.run_id, spell.number], now, since)
        if used.hours > 0:
            found.setdefault(spell.of(by), []).append((spell, used))
    rows = {
        name: added((used for _, used in members), len({spell.run_id for spell, _ in members}))
        for name, members in found.items()
    }
    return dict(sorted(rows.items(), key=lambda row: (-row[1].hours, row[0])))


def added(parts: Iterable[Used], runs: int | None = None) -> Used:
    """The sum. `runs`: how many there are, where they are not those of the parts together."""
    parts = list(parts)
    causes = [cause for cause in WORDS if any(cause in part.wasted for part in parts)]
    return Used(
        hours=sum(part.hours for part in parts),
        useful=sum(part.useful for part in parts),
        running=sum(part.running for part in parts),
        wasted={cause: sum(part.wasted.get(cause, 0.0) for part in parts) for cause in causes},
        redone=sum(part.redone for part in parts),
        runs=sum(part.runs for part in parts) if runs is None else runs,
        attempts=sum(part.attempts for part in parts),
    )


def _used(spell: AttemptInterval, fate: _Fate, now: float, since: float | None) -> Used:
    begin = spell.started if since is None else max(spell.started, since)
    end = now if spell.ended is None else min(spell.ended, now)
    hours = max(end - begin, 0.0) / 3600 * spell.gpus
    if spell.state is AttemptState.LAUNCHED:
        return Used(hours=hours, running=hours, attempts=1)
    carried = hours * fate.share
    wasted = {_cause(spell): hours - carried} if fate.share < 1 else {}
    if fate.cause is not None and fate.share > 0:
        wasted[fate.cause] = wasted.get(fate.cause, 0.0) + carried
    return Used(
        hours=hours,
        useful=carried if fate.cause is None else 0.0,
        wasted=wasted,
        redone=hours - carried if 0 < fate.share < 1 else 0.0,
        attempts=1,
    )


def _fates(attempt_intervals: Sequence[AttemptInterval]) -> dict[tuple[str, int], _Fate]:
    """What became of each attempt's work, the newest first: who went on from it decides."""
    heirs: dict[tuple[str, int], list[AttemptInterval]] = {}
    fates: dict[tuple[str, int], _Fate] = {}
    for spell in sorted(
        attempt_intervals, key=lambda each: (each.started, each.number), reverse=True
    ):
        key = (spell.run_id, spell.number)
        fates[key] = _fate(spell, heirs.get(key, []), fates)
        if spell.origin is not None:
            origin = (spell.origin.run_id, spell.origin.attempt)
            heirs.setdefault(origin, []).append(spell)
    return fates


def _fate(
    spell: AttemptInterval, heirs: Sequence[AttemptInterval], fates: dict[tuple[str, int], _Fate]
) -> _Fate:
    if spell.state in (AttemptState.FINISHED, AttemptState.LAUNCHED):
        return _Fate(None, 1.0)
    counted = [heir for heir in heirs if fates[heir.run_id, heir.number].cause is None]
    steps = [heir.begun for heir in counted or heirs]
    if spell.kept is not None:
        steps.append(spell.kept)
    if not steps:
        return _Fate(_cause(spell), 1.0)
    if counted or spell.kept is not None:
        return _Fate(None, _share(spell, max(steps)))
    return _Fate(fates[heirs[0].run_id, heirs[0].number].cause, _share(spell, max(steps)))


def _share(spell: AttemptInterval, step: int) -> float:
    """The part of an attempt up to a step that was gone on from."""
    if spell.steps is None or spell.steps <= spell.begun:
        return 1.0
    return min(max((step - spell.begun) / (spell.steps - spell.begun), 0.0), 1.0)


def _cause(spell: AttemptInterval) -> str:
    """What ended an attempt."""
    stopped = spell.failure in (None, FailureClass.INTERRUPTED)
    if stopped and spell.run_state is RunState.CANCELLED:
        return CANCELLED
    return (spell.failure or FailureClass.INTERRUPTED).value
