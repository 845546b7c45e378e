"""The plan of a suite on an inventory: who runs where, for how long, and who cannot, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ntlbg_model.support import unsupported
from ntlbg_service.domain.expansion import Variant
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit, Misfit
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.planning.fitter import Fitter
from ntlbg_service.domain.planning.numerics import SHARE, allowed, pin
from ntlbg_service.domain.planning.spending import Rented, rented, total_cost
from ntlbg_service.domain.scheduling.bound import Way, lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, makespan
from ntlbg_service.domain.scheduling.placing import demand, ways

LONG = 0.25
"""Share of the time that the whole suite's work takes, spread evenly, above which a run is long
enough to be worth more GPUs than it needs."""

RunKey = tuple[str, str, int]
"""Group, variant, seed."""


@dataclass(frozen=True, kw_only=True)
class PlannedVariant:
    """One variant, its fits, and why it cannot run where it cannot."""

    variant: Variant
    fits: tuple[Fit, ...]
    misfits: tuple[Misfit, ...]
    unsupported: tuple[str, ...]

    @property
    def refusal(self) -> str | None:
        """Why this variant can never run here; None where it can."""
        if self.unsupported:
            return f"not built yet: {', '.join(self.unsupported)}"
        if not self.fits:
            return "; ".join(f"{misfit.profile}: {misfit.reason}" for misfit in self.misfits)
        return None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a suite would do on an inventory."""

    inventory: Inventory
    variants: tuple[PlannedVariant, ...]
    intervals: Mapping[RunKey, HoursInterval] = field(default_factory=dict)
    """To place and time, in the order of their starts; refused variants have none."""
    least_hours: float = 0.0
    """A makespan that no schedule of these fits, in these classes, can undercut."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """The numerics class that each comparison group is kept in."""
    unpinned_hours: float = 0.0
    """The makespan if groups were not kept in one class."""

    @property
    def makespan_hours(self) -> float:
        """Hours until the last planned run ends."""
        return makespan(self.intervals.values())

    @property
    def gpu_hours(self) -> float:
        """Device-hours of all planned runs."""
        return sum(interval.placement.fit.gpu_hours for interval in self.intervals.values())

    @property
    def rented(self) -> tuple[Rented, ...]:
        """The nodes that are up while it lasts."""
        return rented(self.inventory, self.intervals.values())

    @property
    def cost(self) -> float | None:
        """What those nodes cost; None where the inventory has no prices."""
        return total_cost(self.rented)

    def mixed_numerics(self) -> dict[str, tuple[str, ...]]:
        """Groups whose runs would compute in more than one numerics class."""
        classes: dict[str, set[str]] = {}
        for (group, _, _), interval in self.intervals.items():
            classes.setdefault(group, set()).add(interval.placement.fit.numerics)
        return {group: tuple(sorted(found)) for group, found in classes.items() if len(found) > 1}

    def fits_of(self, row: PlannedVariant) -> tuple[Fit, ...]:
        """The fits that a variant may run with: those of its group's numerics class."""
        return allowed(row.fits, self.classes.get(row.variant.group))


def fit_variant(
    variant: Variant, inventory: Inventory, estimates: Estimates = CLOSED_FORM
) -> PlannedVariant:
    """Fit one variant to every kind of node of an inventory."""
    return _fitted(variant, Fitter(inventory, estimates))


def _fitted(variant: Variant, fitter: Fitter) -> PlannedVariant:
    fits, misfits = fitter(variant.config)
    return PlannedVariant(
        variant=variant, fits=fits, misfits=misfits, unsupported=tuple(unsupported(variant.config))
    )


def _widened(
    rows: Sequence[PlannedVariant], seeds: int, cluster: Cluster, fitter: Fitter
) -> tuple[PlannedVariant, ...]:
    """Rows with fits on more GPUs beside their own, where a run would outlast what the work of
    the whole suite takes when it is spread evenly."""
    kinds: Counter[tuple[Way, ...]] = Counter()
    for row in rows:
        if row.refusal is None:
            kinds[ways(row.fits)] += seeds
    work = lower_bound(kinds, cluster.capacity()).work
    known: dict[int, tuple[Fit, ...]] = {}
    wide = []
    for row in rows:
        if row.refusal is None and min(fit.hours for fit in row.fits) > LONG * work:
            if id(row.fits) not in known:
                known[id(row.fits)] = row.fits + fitter.wider(row.variant.config)
            row = replace(row, fits=known[id(row.fits)])
        wide.append(row)
    return tuple(wide)


def _sharing(rows: Sequence[PlannedVariant], fitter: Fitter) -> tuple[PlannedVariant, ...]:
    """Rows with parts of GPUs for what is small; like rows go on having the same fits."""
    known = {id(row.fits): row for row in rows}
    parts = {key: fitter.sharing(row.variant.config, row.fits) for key, row in known.items()}
    return tuple(replace(row, fits=parts[id(row.fits)]) for row in rows)


def plan(
    variants: Sequence[Variant],
    seeds: Sequence[int],
    inventory: Inventory,
    estimates: Estimates = CLOSED_FORM,
    *,
    share: float = SHARE,
    share_gpus: bool = False,
) -> Plan:
    """Fit every variant, and look ahead over all runs that can run.

    `share`: how much longer the suite may take for its groups to stay in one numerics class each.
    `share_gpus`: its small runs may have parts of GPUs.
    """
    fitter = Fitter(inventory, estimates)
    cluster = Cluster(nodes=inventory.nodes())
    planned = tuple(_fitted(variant, fitter) for variant in variants)
    planned = _widened(planned, len(seeds), cluster, fitter)
    planned = _sharing(planned, fitter) if share_gpus else planned
    keys: dict[str, RunKey] = {}
    jobs: list[Job] = []
    for row in planned:
        for seed in seeds if row.refusal is None else ():
            key = (row.variant.group, row.variant.name, seed)
            run_id = "/".join(map(str, key))
            keys[run_id] = key
            jobs.append(Job(run_id=run_id, fits=row.fits, group=row.variant.group))
    pinned = pin(jobs, cluster, share)
    least = lower_bound(demand(pinned.jobs), cluster.capacity(), within=makespan(pinned.intervals))
    return Plan(
        inventory=inventory,
        variants=planned,
        intervals={keys[interval.placement.run_id]: interval for interval in pinned.intervals},
        least_hours=least.hours,
        classes=pinned.classes,
        unpinned_hours=pinned.unpinned_hours,
    )
