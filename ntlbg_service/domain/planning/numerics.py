"""The numerics guard: what is compared computes alike, or is flagged.

A V100 trains in fp16 and an A100 in bf16. Left alone the scheduler would spread the runs of one
comparison over both, and a difference between variants could be one between cards. So each group
is kept in one numerics class, chosen so that the whole suite ends early, where every run of it
has a fit in that class and the suite does not take longer by more than a stated share.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.bound import Way, lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, makespan
from ntlbg_service.domain.scheduling.placing import demand
from ntlbg_service.domain.scheduling.schedule import look_ahead

SHARE = 0.5
"""How much longer a suite may take for its groups to stay in one class each. A comparison that
turns out to be one of cards has to be run again, which takes as long once more."""
ROUNDS = 30
"""Of the bound, where it only compares choices."""

Demand = Counter[tuple[Way, ...]]


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A schedule in which as many groups as possible keep to one numerics class."""

    intervals: tuple[HoursInterval, ...]
    classes: Mapping[str, str]
    """The class of each group that is kept in one."""
    unpinned_hours: float
    """The makespan if every group were free."""
    jobs: Sequence[Job]
    """With the fits that they may run with."""


def classes_of(fits: Iterable[Fit]) -> frozenset[str]:
    """The numerics classes that fits would compute in."""
    return frozenset(fit.numerics for fit in fits)


def allowed(fits: tuple[Fit, ...], numerics: str | None) -> tuple[Fit, ...]:
    """The fits of a class; all of them without one."""
    if numerics is None or classes_of(fits) == {numerics}:
        return fits
    return tuple(fit for fit in fits if fit.numerics == numerics)


def pin(jobs: Sequence[Job], cluster: Cluster, share: float = SHARE) -> Pinned:
    """Schedule jobs with each comparison group in one class, where that costs at most `share`.

    Where it costs more, the groups with the most work are let go first.
    """
    free = look_ahead(jobs, cluster)
    least = makespan(free)
    groups = _by_group(jobs)
    if all(len(classes_of(_fits(members))) == 1 for members in groups.values()):
        classes = {name: next(iter(classes_of(_fits(members)))) for name, members in groups.items()}
        return Pinned(intervals=free, classes=classes, unpinned_hours=least, jobs=jobs)
    classes = _choose(groups, cluster)
    released = 0
    while released < len(classes):
        kept = dict(list(classes.items())[released:])
        narrowed = _narrowed(jobs, kept)
        intervals = look_ahead(narrowed, cluster)
        if makespan(intervals) <= (1 + share) * least:
            return Pinned(intervals=intervals, classes=kept, unpinned_hours=least, jobs=narrowed)
        released = max(1, 2 * released)
    return Pinned(intervals=free, classes={}, unpinned_hours=least, jobs=jobs)


def _by_group(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return groups


def _fits(jobs: Iterable[Job]) -> list[Fit]:
    return [fit for fits in {id(job.fits): job.fits for job in jobs}.values() for fit in fits]


def _choose(groups: Mapping[str, Sequence[Job]], cluster: Cluster) -> dict[str, str]:
    """A class for each group that has one in common, those with the most work first.

    Each takes the class with which the whole suite's bound stays lowest, the groups after it free.
    """
    whole = {name: demand(members) for name, members in groups.items()}
    common = {name: _common(members) for name, members in groups.items()}
    order = sorted(groups, key=lambda name: (-_work(whole[name]), name))
    total = sum(whole.values(), Counter[tuple[Way, ...]]())
    chosen: dict[str, str] = {}
    for name in order:
        rest = total - whole[name]
        trials = {
            numerics: rest + demand(_narrowed(groups[name], {name: numerics}))
            for numerics in sorted(common[name])
        }
        if trials:
            chosen[name] = min(trials, key=lambda numerics: _hours(trials[numerics], cluster))
            total = trials[chosen[name]]
    return chosen


def _common(jobs: Iterable[Job]) -> frozenset[str]:
    kinds = {id(job.fits): classes_of(job.fits) for job in jobs}
    return frozenset.intersection(*kinds.values())


def _work(kinds: Demand) -> float:
    return sum(count * min(way.device_hours for way in ways) for ways, count in kinds.items())


def _hours(kinds: Demand, cluster: Cluster) -> float:
    return lower_bound(kinds, cluster.capacity(), rounds=ROUNDS).hours


def _narrowed(jobs: Iterable[Job], classes: Mapping[str, str]) -> list[Job]:
    """Jobs with the fits of their group's class; like jobs go on sharing their fits."""
    known: dict[tuple[int, str | None], tuple[Fit, ...]] = {}
    narrowed = []
    for job in jobs:
        numerics = classes.get(job.group)
        key = (id(job.fits), numerics)
        if key not in known:
            known[key] = allowed(job.fits, numerics)
        narrowed.append(replace(job, fits=known[key]))
    return narrowed
