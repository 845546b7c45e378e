"""`ntlbg plan --explain`: one run's place in a plan, in words and numbers."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ntlbg_service.cli.console import new_console
from ntlbg_service.cli.plan_words import batch, duration, number, settings, where
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.explain import why_here, why_so_many, why_then
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant, RunKey


def print_explanation(plan: Plan, row: PlannedVariant, runs: Sequence[RunKey]) -> None:
    """Why a variant's runs are where they are, with what, when, and what else there was."""
    console = new_console()
    say(console, 0, Text(f"{row.variant.group}/{row.variant.name}", style="bold"))
    if row.variant.description:
        say(console, 0, row.variant.description)
    if row.unsupported:
        say(console, 1, f"not built yet: {', '.join(row.unsupported)}")
    used: dict[int, Fit] = {}
    for key in runs:
        fit = plan.intervals[key].placement.fit
        if used.setdefault(id(fit), fit) is fit:
            _run(console, plan, row, key)
    for fit in used.values():
        print_settings(console, fit)
    _others(console, plan, row, list(used.values()))
    for misfit in row.misfits:
        say(console, 1, f"not on {misfit.profile}: {misfit.reason}")


def _run(console: Console, plan: Plan, row: PlannedVariant, key: RunKey) -> None:
    interval = plan.intervals[key]
    start = "now" if interval.start == 0 else f"in {duration(interval.start)}"
    nodes = ", ".join(interval.placement.nodes)
    say(
        console,
        1,
        f"seed {key[2]} starts {start} on {where(interval.placement.fit)} ({nodes}) and ends "
        f"after {duration(interval.end)}",
    )
    say(console, 2, f"why there: {why_here(plan, row, interval)}")
    more = why_so_many(row, interval)
    if more:
        say(console, 2, f"why {interval.placement.fit.workers} GPUs: {more}")
    say(console, 2, f"why then: {why_then(plan, key)}")


def print_settings(console: Console, fit: Fit) -> None:
    """With what a fit runs, why, and what it is predicted to fill."""
    source = "traced" if fit.traced else "closed form"
    if fit.calibration != 1.0:
        source += f", scaled by {fit.calibration:.3f} as measured on {fit.profile}"
    say(
        console,
        1,
        f"settings on {where(fit)}: {fit.numerics}, batch {batch(fit)}, {settings(fit)}",
    )
    for reason in fit.reasons:
        say(console, 2, reason)
    say(
        console,
        1,
        f"memory: {fit.predicted_gib:.2f} of {fit.limit_gib:.2f} GiB ({source})",
    )
    width = max(map(len, fit.memory), default=0)
    for name, gib in fit.memory.items():
        if gib:
            say(console, 2, f"{name:<{width}} {gib:>8.2f} GiB")
    if fit.host_gib:
        say(console, 2, f"{'host':<{width}} {fit.host_gib:>8.2f} GiB of each worker's host")


def _others(console: Console, plan: Plan, row: PlannedVariant, used: Sequence[Fit]) -> None:
    """What else there was: each kind of GPU with the fewest that do, and what more would buy."""
    kinds: dict[tuple[str, str], list[Fit]] = {}
    for fit in row.fits:
        kinds.setdefault((fit.profile, fit.numerics), []).append(fit)
    open_to_it = plan.fits_of(row)
    for alike in kinds.values():
        least, most = (pick(alike, key=lambda fit: fit.workers) for pick in (min, max))
        if least in used and len(alike) == 1:
            continue
        more = "" if most is least else f"; on {most.workers} in {duration(most.hours)}"
        shut = "" if least in open_to_it else "; left out: another numerics class than its group's"
        say(
            console,
            1,
            f"could be {where(least)}: {number(least.gpu_hours)} GPU-hours in "
            f"{duration(least.hours)}, {least.predicted_gib:.1f} of {least.limit_gib:.1f} GiB, "
            f"{settings(least)}{more}{shut}",
        )


def say(console: Console, depth: int, text: str | Text) -> None:
    """One line, indented."""
    console.print(
        Text("  " * depth).append(text), highlight=False, soft_wrap=not console.is_terminal
    )
