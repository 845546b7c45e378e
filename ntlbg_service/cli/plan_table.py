"""A plan as a table that a person reads, on a terminal and in a pipe."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from ntlbg_service.cli.console import new_console
from ntlbg_service.cli.plan_summary import (
    added_nodes,
    disk,
    guard,
    learned,
    legend,
    refusals,
    totals,
)
from ntlbg_service.cli.plan_words import batch, duration, number, settings, where
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.planning.plan import Plan, PlannedVariant
from ntlbg_service.domain.scheduling.cluster import HoursInterval

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


def print_plan(plan: Plan, estimates: Estimates = CLOSED_FORM) -> None:
    """The plan as a table, what it comes to, and what cannot run or compare."""
    console = new_console()
    if plan.intervals:
        console.print(f"Plan on {plan.inventory.name}", style="italic")
        for part in _tables(plan, console.width):
            console.print(part)
        console.print(totals(plan), highlight=False)
        console.print(disk(plan), highlight=False)
        console.print(legend(), style="dim", highlight=False)
        for words in learned(plan, estimates):
            console.print(words, style="dim", highlight=False)
    for line in (*added_nodes(plan), *guard(plan)):
        console.print(line, highlight=False)
    for reason, names in refusals(plan).items():
        console.print(
            Text.assemble(("refused", "red"), f" {', '.join(names)}: {reason}"),
            highlight=False,
            soft_wrap=True,
        )


def _tables(plan: Plan, width: int) -> Iterator[Table | Text]:
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
        yield Text(group, style="bold")
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
        table.add_row(*line)
    return table


def _rows(plan: Plan) -> Iterator[tuple[PlannedVariant, Fit, list[HoursInterval]]]:
    """For each variant and each fit that its runs are placed with, the runs."""
    placed: dict[tuple[str, str], dict[int, list[HoursInterval]]] = {}
    for (group, variant, _), interval in plan.intervals.items():
        by_fit = placed.setdefault((group, variant), {})
        by_fit.setdefault(id(interval.placement.fit), []).append(interval)
    for row in plan.variants:
        for intervals in placed.get((row.variant.group, row.variant.name), {}).values():
            yield row, intervals[0].placement.fit, intervals


def _cells(
    row: PlannedVariant, fit: Fit, intervals: list[HoursInterval], narrow: bool
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
