"""A plan as a table that a person reads, on a terminal and in a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ntlbg_service.domain.cluster import Interval
from ntlbg_service.domain.fit import Fit
from ntlbg_service.domain.plan import Plan, PlannedVariant

UNFOLDED = 200
"""Width of a table that goes to a file or a pipe."""
NARROW = 120
"""Below this width the table has fewer columns and shorter words."""
LEAST_NAME = 12
"""Least width of the names' column."""


@dataclass(frozen=True)
class Column:
    """One column: its heading, and whether it stays on a narrow terminal."""

    heading: str
    narrow: bool = True
    right: bool = False


COLUMNS = (
    Column("variant"),
    Column("runs", right=True),
    Column("on"),
    Column("numerics", narrow=False),
    Column("batch"),
    Column("memory"),
    Column("peak / limit\nGiB", right=True),
    Column("each", right=True),
    Column("GPU-hours\neach", narrow=False, right=True),
    Column("first at", narrow=False, right=True),
)


def new_console() -> Console:
    """A console on stdout that does not fold what goes to a file or a pipe."""
    console = Console()
    if not console.is_terminal:
        console.width = UNFOLDED
    return console


def print_plan(plan: Plan) -> None:
    """The plan as a table, what it comes to, and what cannot run or compare."""
    console = new_console()
    if plan.intervals:
        console.print(f"Plan on {escape(plan.inventory.name)}", style="italic")
        for part in _tables(plan, console.width):
            console.print(part)
        console.print(_totals(plan), highlight=False)
        console.print(_legend(plan), style="dim", highlight=False)
    for line in (*_rented(plan), *_numerics(plan)):
        console.print(line, highlight=False)
    for reason, names in _refusals(plan).items():
        console.print(
            f"[red]refused[/] {', '.join(names)}: {escape(reason)}",
            highlight=False,
            soft_wrap=True,
        )


def _tables(plan: Plan, width: int) -> Iterator[Table | str]:
    """The column headings, then each comparison group under its name, all of the same columns."""
    narrow = width < NARROW
    chosen = [index for index, column in enumerate(COLUMNS) if column.narrow or not narrow]
    columns = [COLUMNS[index] for index in chosen]
    groups: dict[str, list[list[str]]] = {}
    for row, fit, intervals in _rows(plan):
        cells = _cells(row, fit, intervals, narrow)
        groups.setdefault(row.variant.group, []).append([cells[index] for index in chosen])
    gap = 1 if narrow else 2
    widths = _widths(columns, [line for lines in groups.values() for line in lines], width, gap)
    yield _part(columns, widths, gap, [])
    for group, lines in groups.items():
        yield f"[bold]{escape(group)}[/]"
        yield _part(columns, widths, gap, lines)


def _widths(
    columns: Sequence[Column], lines: Sequence[Sequence[str]], width: int, gap: int
) -> list[int]:
    """As wide as what stands in a column; names give way where the terminal is too narrow."""
    wanted = [
        max(max(map(len, column.heading.split("\n"))), *(len(line[place]) for line in lines))
        for place, column in enumerate(columns)
    ]
    rest = sum(wanted[1:]) + gap * len(columns)
    return [max(LEAST_NAME, min(wanted[0], width - rest)), *wanted[1:]]


def _part(
    columns: Sequence[Column], widths: Sequence[int], gap: int, lines: Sequence[Sequence[str]]
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), show_header=not lines)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
            width=width,
            vertical="bottom",
        )
    for line in lines:
        table.add_row(*map(escape, line))
    return table


def _rows(plan: Plan) -> Iterator[tuple[PlannedVariant, Fit, list[Interval]]]:
    """For each variant and each fit that its runs are placed with, the runs."""
    placed: dict[tuple[str, str], dict[int, list[Interval]]] = {}
    for (group, variant, _), interval in plan.intervals.items():
        by_fit = placed.setdefault((group, variant), {})
        by_fit.setdefault(id(interval.placement.fit), []).append(interval)
    for row in plan.variants:
        for intervals in placed.get((row.variant.group, row.variant.name), {}).values():
            yield row, intervals[0].placement.fit, intervals


def _cells(
    row: PlannedVariant, fit: Fit, intervals: list[Interval], narrow: bool
) -> tuple[str, ...]:
    mark = " *" if row.variant.baseline else ""
    closed = "" if fit.traced else "~"
    first = min(interval.start for interval in intervals)
    return (
        f"  {row.variant.name}{mark}",
        str(len(intervals)),
        where(fit),
        fit.numerics,
        batch(fit, short=narrow),
        settings(fit, short=narrow),
        f"{closed}{fit.predicted_gib:.1f} / {fit.limit_gib:.1f}",
        duration(fit.hours),
        number(fit.gpu_hours),
        "now" if first == 0 else duration(first),
    )


def where(fit: Fit) -> str:
    """The devices of a fit."""
    gang = fit.profile if fit.workers == 1 else f"{fit.workers} x {fit.profile}"
    return gang if fit.nodes == 1 else f"{gang} on {fit.nodes} nodes"


def batch(fit: Fit, *, short: bool = False) -> str:
    """How the global batch is split."""
    return (" x ", "x")[short].join(map(str, (fit.micro_batch, fit.accumulation, fit.workers)))


def settings(fit: Fit, *, short: bool = False) -> str:
    """What a fit does to save memory."""
    words = {
        "ckpt" if short else "checkpointing": fit.gradient_checkpointing,
        f"Z{fit.zero_stage}" if short else f"ZeRO-{fit.zero_stage}": fit.zero_stage > 0,
        f"off. {fit.offload[:3]}" if short else f"offload {fit.offload}": fit.offload != "none",
    }
    return (" " if short else ", ").join(word for word, used in words.items() if used) or "plain"


def duration(hours: float) -> str:
    """Hours, minutes or seconds, whichever reads best."""
    if hours >= 1:
        return f"{number(hours)} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def number(value: float) -> str:
    """One decimal, thousands apart."""
    return f"{value:,.1f}".replace(",", " ")


def _totals(plan: Plan) -> str:
    seeds = sorted({seed for _, _, seed in plan.intervals})
    over = plan.makespan_hours / plan.least_hours - 1 if plan.least_hours else 0.0
    least = (
        "no order ends sooner"
        if over < 0.005
        else f"no order takes less than {duration(plan.least_hours)}"
    )
    words = (
        f"{len(plan.intervals)} runs (seeds {', '.join(map(str, seeds))}) take "
        f"[bold]{duration(plan.makespan_hours)}[/] and {number(plan.gpu_hours)} device-hours; "
        f"{least}."
    )
    return words if plan.cost is None else f"{words} The nodes cost {number(plan.cost)}."


def _legend(plan: Plan) -> str:
    fits = {id(row.placement.fit): row.placement.fit for row in plan.intervals.values()}.values()
    calibrated = sorted({fit.profile for fit in fits if fit.calibration != 1.0})
    words = [
        "* baseline; batch = micro x accumulation x workers; "
        "~ peak in closed form, without it traced.",
        "Memory and times are predictions.",
    ]
    if calibrated:
        words.append(f"Peaks on {', '.join(calibrated)} are scaled by what runs there measured.")
    return " ".join(words)


def _rented(plan: Plan) -> Iterator[str]:
    """What an autoscaler would add, by group of nodes."""
    added: dict[int, list[tuple[float, float]]] = {}
    for node in plan.rented:
        if node.added:
            added.setdefault(node.node.group, []).append((node.start, node.end))
    for index, times in added.items():
        group = plan.inventory.groups[index]
        first, last = min(start for start, _ in times), max(end for _, end in times)
        yield (
            f"[cyan]adds[/] {len(times)} of {group.most} nodes of {group.gpus} x {group.profile}, "
            f"the first asked for {'now' if first <= 0 else 'in ' + duration(first)}, "
            f"the last released after {duration(last)}"
        )


def _numerics(plan: Plan) -> Iterator[str]:
    """What the guard cost, and which groups it could not keep in one class."""
    extra = plan.makespan_hours / plan.unpinned_hours - 1 if plan.unpinned_hours else 0.0
    if extra > 0.005:
        yield (
            f"[cyan]numerics[/] each group keeps to one class, which takes {extra:.0%} longer; "
            f"--one-numerics 0 would take {duration(plan.unpinned_hours)}"
        )
    for group, classes in plan.mixed_numerics().items():
        yield (
            f"[yellow]numerics[/] group {escape(group)} would mix {' and '.join(classes)}; "
            "pin hardware.profile, or allow more time with --one-numerics, to compare like with "
            "like"
        )


def _refusals(plan: Plan) -> dict[str, list[str]]:
    """Why variants are refused, and which."""
    reasons: dict[str, list[str]] = {}
    for row in plan.variants:
        if row.refusal:
            name = f"{row.variant.group}/{row.variant.name}"
            reasons.setdefault(row.refusal, []).append(escape(name))
    return reasons
