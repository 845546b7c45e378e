"""The comparison in the terminal. Without a terminal: the same text, plain and unfolded."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntlbg_model.config import Metric
from ntlbg_service.domain.measures import Measure
from ntlbg_service.report import wording
from ntlbg_service.report.comparison import Comparison, GroupComparison, Row

UNFOLDED = 1000
"""Width of a table that goes to a file or a pipe, so that no cell is folded."""


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print each group's tables, its warnings, and a sentence that says what they show."""
    width = console.width
    if not console.is_terminal:
        console.width = UNFOLDED
    try:
        for group in comparison.groups:
            _print_group(group, console)
    finally:
        console.width = width


def _print_group(group: GroupComparison, console: Console) -> None:
    for dataset in group.datasets:
        tables = (outcome_table(group, dataset), cost_table(group, dataset))
        for table in (table for table in tables if table is not None):
            if not console.is_terminal:
                table.box = None
            console.print(table)
        for warning in wording.warnings(group, dataset):
            console.print(Text(f"! {warning}", style="yellow"), soft_wrap=True)
        console.print(Text(wording.finding(group, dataset)), soft_wrap=True)
        console.print()
    if not group.datasets:
        console.print(Text(f"{group.name}: nothing measured yet"))


def outcome_table(group: GroupComparison, dataset: str) -> Table:
    """What the suite is judged by, its seeds, and the difference to the baseline."""
    measure = group.measure
    name = f"{measure.words} {measure.unit}"
    columns = [f"{name} (95 %)", f"each seed {measure.unit}"]
    difference = f"difference, {wording.gap_unit(measure)}"
    table = _table(
        f"{_title(group)} on {dataset}: {measure.words}",
        ["variant", "runs", *columns, difference, "Holm p"],
    )
    for row in group.on(dataset):
        judged = wording.estimate_text(measure, row.judged).replace(f" {measure.unit}", "")
        style = "bold" if row.significant else ""
        table.add_row(
            row.variant,
            wording.runs(row),
            judged,
            _seeds(row, measure),
            Text(wording.difference_text(measure, row), style=style),
            Text(wording.p_text(row) + (" *" if row.significant else ""), style=style),
        )
    return table


def cost_table(group: GroupComparison, dataset: str) -> Table | None:
    """What was seen and what it cost, as far as the configs ask to see it."""
    shown = [each for each in COST if each.metric in group.metrics]
    if not shown:
        return None
    columns = [name for each in shown for name in each.names]
    table = _table(f"{_title(group)} on {dataset}: frames and cost", ["variant", *columns])
    for row in group.on(dataset):
        table.add_row(row.variant, *(cell for each in shown for cell in each.cells(group, row)))
    return table


class Columns(NamedTuple):
    """Columns of one metric."""

    metric: Metric
    names: tuple[str, ...]
    cells: Callable[[GroupComparison, Row], tuple[str, ...]]


def _memory(group: GroupComparison, row: Row) -> tuple[str, ...]:
    predicted, measured = group.memory(row.variant)
    return wording.quantity(measured), wording.quantity(predicted)


COST = (
    Columns("accuracy", ("accuracy",), lambda _, row: (wording.percent(row.accuracy.mean),)),
    Columns(
        "needle_recall",
        ("needle recall",),
        lambda _, row: (wording.percent(row.needle_recall.mean),),
    ),
    Columns(
        "visual_tokens", ("tokens/question",), lambda _, row: (wording.quantity(row.visual_tokens),)
    ),
    Columns(
        "seconds_per_question", ("s/question",), lambda _, row: (wording.seconds(row.seconds),)
    ),
    Columns("peak_memory_mib", ("memory MiB", "predicted"), _memory),
)


def _title(group: GroupComparison) -> str:
    flag = f" [mixed numerics: {', '.join(group.numerics)}]" if group.mixed_numerics else ""
    return f"{group.name}{flag}"


def _seeds(row: Row, measure: Measure) -> str:
    return " ".join(wording.seed_text(measure, value) for _, value in row.seed_values)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    return table
