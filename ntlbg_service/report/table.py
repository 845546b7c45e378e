"""The comparison in the terminal. Without a terminal: the same text, plain and unfolded."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
        for table in (outcome_table(group, dataset), cost_table(group, dataset)):
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
    """Accuracy, its seeds, and the difference to the baseline."""
    table = _table(
        f"{_title(group)} on {dataset}: accuracy",
        ["variant", "runs", "accuracy % (95 %)", "each seed %", "difference, points", "Holm p"],
    )
    for row in group.on(dataset):
        accuracy = wording.estimate_text(row.accuracy).replace(" %", "")
        style = "bold" if row.significant else ""
        table.add_row(
            row.variant,
            wording.runs(row),
            accuracy,
            _seeds(row),
            Text(wording.difference_text(row), style=style),
            Text(wording.p_text(row) + (" *" if row.significant else ""), style=style),
        )
    return table


def cost_table(group: GroupComparison, dataset: str) -> Table:
    """What was seen and what it cost."""
    table = _table(
        f"{_title(group)} on {dataset}: frames and cost",
        ["variant", "needle recall", "tokens/question", "s/question", "memory MiB", "predicted"],
    )
    for row in group.on(dataset):
        predicted, measured = group.memory(row.variant)
        table.add_row(
            row.variant,
            wording.percent(row.needle_recall.mean),
            wording.quantity(row.visual_tokens),
            wording.seconds(row.seconds),
            wording.quantity(measured),
            wording.quantity(predicted),
        )
    return table


def _title(group: GroupComparison) -> str:
    flag = f" [mixed numerics: {', '.join(group.numerics)}]" if group.mixed_numerics else ""
    return f"{group.name}{flag}"


def _seeds(row: Row) -> str:
    shares = ("–" if share is None else f"{100 * share:.1f}" for _, share in row.seed_accuracies)
    return " ".join(shares)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=not place)
    return table
