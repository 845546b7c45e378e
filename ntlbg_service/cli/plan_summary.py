"""What a plan comes to: its lines below the table."""

from collections.abc import Iterator

from rich.text import Text

from ntlbg_service.cli.formatting import bytes_in_words
from ntlbg_service.cli.place import pasteable
from ntlbg_service.cli.plan_words import duration, number
from ntlbg_service.domain.fitting.calibration import said
from ntlbg_service.domain.fitting.estimates import Estimates
from ntlbg_service.domain.planning.disk import GIB, disk_of_plan
from ntlbg_service.domain.planning.plan import Plan


def totals(plan: Plan) -> Text:
    """How long it takes, what it takes, and how far that is from the least possible."""
    seeds = sorted({seed for _, _, seed in plan.intervals})
    over = plan.makespan_hours / plan.least_hours - 1 if plan.least_hours else 0.0
    least = (
        "no order ends noticeably sooner"
        if over < 0.005
        else f"no order takes less than {duration(plan.least_hours)}"
    )
    cost = "" if plan.cost is None else f" The nodes cost {number(plan.cost)}."
    return Text.assemble(
        f"{len(plan.intervals)} runs (seeds {', '.join(map(str, seeds))}) take ",
        (duration(plan.makespan_hours), "bold"),
        f" and {number(plan.gpu_hours)} device-hours; {least}.{cost}",
    )


def disk(plan: Plan) -> str:
    """What the runs' checkpoints will take, before and after what nobody needs is deleted."""
    found = disk_of_plan(plan)
    if not found.written:
        return "No run writes checkpoints."
    sizes = [bytes_in_words(gib * GIB) for gib in (found.written, found.largest, found.kept)]
    return pasteable(
        f"Their checkpoints take {sizes[0]} on disk (one up to {sizes[1]}), "
        f"{sizes[2]} after 'ntlbg gc'."
    )


def legend() -> str:
    """What the marks of the table mean, and where its figures are from."""
    return (
        "* baseline; batch = micro x accumulation x workers; "
        "~ peak in closed form, without it traced. Memory and times are predictions."
    )


def learned(plan: Plan, estimates: Estimates) -> Iterator[str]:
    """What runs on the plan's kinds of device measured, where any did."""
    for profile in sorted({row.placement.fit.profile for row in plan.intervals.values()}):
        calibration = estimates.calibration(profile)
        if calibration.runs:
            yield said(profile, calibration)


def added_nodes(plan: Plan) -> Iterator[Text]:
    """What an autoscaler would add, by group of nodes."""
    added: dict[int, list[tuple[float, float]]] = {}
    for node in plan.rented:
        if node.added:
            added.setdefault(node.node.group, []).append((node.start, node.end))
    for index, times in added.items():
        group = plan.inventory.groups[index]
        first, last = min(start for start, _ in times), max(end for _, end in times)
        yield Text.assemble(
            ("adds", "cyan"),
            f" {len(times)} of {group.most} nodes of {group.gpus} x {group.profile}, "
            f"the first asked for {'now' if first <= 0 else 'in ' + duration(first)}, "
            f"the last released after {duration(last)}",
        )


def guard(plan: Plan) -> Iterator[Text]:
    """What the guard cost, and which groups it could not keep in one class."""
    extra = plan.makespan_hours / plan.unpinned_hours - 1 if plan.unpinned_hours else 0.0
    if extra > 0.005:
        yield Text.assemble(
            ("numerics", "cyan"),
            f" each group keeps to one class, which takes {extra:.0%} longer; "
            f"--one-numerics 0 would take {duration(plan.unpinned_hours)}",
        )
    for group, classes in plan.mixed_numerics().items():
        yield Text.assemble(
            ("numerics", "yellow"),
            f" group {group} would mix {' and '.join(classes)}; "
            "pin hardware.profile, or allow more time with --one-numerics, to compare like with "
            "like",
        )


def refusals(plan: Plan) -> dict[str, list[str]]:
    """Why variants are refused, and which."""
    reasons: dict[str, list[str]] = {}
    for row in plan.variants:
        if row.refusal:
            name = f"{row.variant.group}/{row.variant.name}"
            reasons.setdefault(row.refusal, []).append(name)
    return reasons
