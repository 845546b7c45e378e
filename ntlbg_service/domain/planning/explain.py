"""Why a run is where it is in a plan, and when."""

from collections.abc import Sequence

from ntlbg_service.domain.errors import UserError, nearest
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant, RunKey
from ntlbg_service.domain.scheduling.cluster import HoursInterval

SAME_HOURS = 1e-6
"""Times that are this close are the same."""


def find_runs(plan: Plan, name: str) -> tuple[PlannedVariant, tuple[RunKey, ...]]:
    """The variant that `VARIANT`, `GROUP/VARIANT` or `GROUP/VARIANT/SEED` means, and its runs.

    Raises UserError with the nearest name, or with the groups that have a variant of that name.
    """
    rows: dict[str, list[PlannedVariant]] = {}
    for row in plan.variants:
        whole = f"{row.variant.group}/{row.variant.name}"
        for known in (row.variant.name, whole):
            rows.setdefault(known, []).append(row)
    stem, _, last = name.rpartition("/")
    seed = int(last) if stem in rows and last.isdigit() else None
    found = rows.get(name if seed is None else stem, [])
    if len(found) > 1:
        ways = ", ".join(f"{row.variant.group}/{row.variant.name}" for row in found)
        raise UserError(f"--explain: '{name}' is in several groups: {ways}")
    if not found:
        raise UserError(f"--explain: unknown run '{name}'; {nearest(name, rows)}")
    return found[0], _runs(plan, found[0], seed)


def _runs(plan: Plan, row: PlannedVariant, seed: int | None) -> tuple[RunKey, ...]:
    where = (row.variant.group, row.variant.name)
    runs = tuple(key for key in plan.intervals if key[:2] == where)
    chosen = tuple(key for key in runs if seed in (None, key[2]))
    if runs and not chosen:
        seeds = ", ".join(str(key[2]) for key in runs)
        raise UserError(f"--explain: {'/'.join(where)} has no seed {seed}; valid: {seeds}")
    return chosen


def waits_for(plan: Plan, key: RunKey) -> tuple[RunKey, ...]:
    """The runs whose end frees what a run starts on; none for one that starts at once."""
    mine = plan.intervals[key]
    return tuple(
        other
        for other, interval in plan.intervals.items()
        if abs(interval.end - mine.start) < SAME_HOURS
        and interval.start < mine.start
        and set(interval.placement.nodes) & set(mine.placement.nodes)
    )


def why_then(plan: Plan, key: RunKey) -> str:
    """What a run's start waits for, in words."""
    interval = plan.intervals[key]
    if interval.start == 0:
        return "its GPUs are free"
    before = ["/".join(map(str, other)) for other in waits_for(plan, key)]
    if before:
        more = f" and {len(before) - 2} more" if len(before) > 2 else ""
        return f"waits for {' and '.join(before[:2])}{more} to end"
    return f"waits for {', '.join(interval.placement.nodes)} to be added and started"


def why_so_many(row: PlannedVariant, interval: HoursInterval) -> str | None:
    """What a run's further GPUs buy; None for one that has no more than it needs."""
    chosen = interval.placement.fit
    alike = [fit for fit in row.fits if fit.profile == chosen.profile]
    least = min(alike, key=lambda fit: fit.workers)
    if least.workers == chosen.workers:
        return None
    return (
        f"{chosen.hours:.1f} h instead of {least.hours:.1f} h on {least.workers}, for "
        f"{chosen.gpu_hours:.1f} GPU-hours instead of {least.gpu_hours:.1f}"
    )


def why_here(plan: Plan, row: PlannedVariant, interval: HoursInterval) -> str:
    """Why a run is on this kind of GPU and not on another that it fits."""
    chosen = interval.placement.fit
    others = [fit for fit in row.fits if fit.profile != chosen.profile]
    if not others:
        return "the only kind that it fits"
    pinned = plan.classes.get(row.variant.group)
    open_to_it = [fit for fit in others if fit in plan.fits_of(row)]
    if not open_to_it:
        return f"its group is kept in one numerics class: {pinned}"
    cheapest = min(open_to_it, key=lambda fit: fit.gpu_hours)
    if chosen.gpu_hours <= cheapest.gpu_hours:
        return "takes the fewest GPU-hours of all kinds open to it"
    return (
        f"the suite ends sooner so: {cheapest.profile} would take {cheapest.gpu_hours:.1f} "
        f"GPU-hours instead of {chosen.gpu_hours:.1f}, but other runs gain more from it, or it is "
        "free later"
    )


def why_kind(chosen: Fit, fits: Sequence[Fit]) -> str:
    """Why an attempt got this kind of GPU, of all that its run fits."""
    others = [fit for fit in fits if fit.profile != chosen.profile]
    if not others:
        return "the only kind that it may run on"
    cheapest = min(others, key=lambda fit: fit.gpu_hours)
    if chosen.gpu_hours <= cheapest.gpu_hours:
        return f"takes the fewest GPU-hours of {len({fit.profile for fit in fits})} kinds"
    return (
        f"was free, or leaves {cheapest.profile} to runs that gain more from it: "
        f"{chosen.gpu_hours:.1f} GPU-hours here, {cheapest.gpu_hours:.1f} there"
    )
