"""`ntlbg plan`: what would run where, before anything starts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import FILE, choose_inventory, load_selection, selection_options

if TYPE_CHECKING:
    from ntlbg_service.domain.plan import Plan

UNFOLDED = 200
"""Width of a table that goes to a file or a pipe."""


@click.command()
@selection_options
@click.option("--inventory", type=FILE, help="Plan for this inventory instead of this machine's.")
@click.option("--parallel", type=click.IntRange(min=1), help="Runs at once on a CPU.")
@click.option("--explain", "explained", help="Say why, for one variant.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    suite: Path,
    scale: str | None,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    experiment: str | None,
    inventory: Path | None,
    parallel: int | None,
    explained: str | None,
    as_json: bool,
) -> None:
    """Plan SUITE on an inventory: fits, predicted memory, order and time."""
    from ntlbg_service.domain.plan import plan, to_json
    from ntlbg_service.domain.suite import expand

    files, chosen = load_selection(suite, scale, groups, variants, experiment)
    if explained:
        names = {variant.name for variant in chosen}
        if explained not in names:
            expand(files, variants=[explained])
        chosen = tuple(variant for variant in chosen if variant.name == explained)
    result = plan(chosen, files.seeds, choose_inventory(inventory, parallel))
    if as_json:
        click.echo(json.dumps(to_json(result), indent=1))
    elif explained:
        _explain(result)
    else:
        print_plan(result)


def print_plan(plan: "Plan") -> None:
    """The plan as a table that a person reads."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = UNFOLDED
    seeds = sorted({seed for _, _, seed in plan.intervals})
    table = Table(
        title=f"Plan on {plan.inventory.name}", title_justify="left", box=None, pad_edge=False
    )
    for heading in ("group", "variant", "seeds", "on", "precision", "batch"):
        table.add_column(heading, overflow="fold")
    table.add_column("peak / limit, GiB", justify="right")
    table.add_column("each", justify="right")
    for row in plan.variants:
        name = f"{row.variant.name} *" if row.variant.baseline else row.variant.name
        placed = [
            interval.placement.fit
            for (group, variant, _), interval in plan.intervals.items()
            if (group, variant) == (row.variant.group, row.variant.name)
        ]
        for fit in {fit.profile: fit for fit in placed}.values():
            on_this = sum(other.profile == fit.profile for other in placed)
            table.add_row(
                row.variant.group,
                name,
                str(on_this),
                fit.profile if fit.workers == 1 else f"{fit.workers} x {fit.profile}",
                fit.precision,
                f"{fit.micro_batch} x {fit.accumulation} x {fit.workers}",
                f"{fit.predicted_gib:.1f} / {fit.limit_gib:.1f}",
                _duration(fit.hours),
            )
    if plan.intervals:
        console.print(table)
        console.print(
            f"{len(plan.intervals)} runs (seeds {', '.join(map(str, seeds))}), "
            f"{_duration(plan.makespan_hours)} in all, {plan.gpu_hours:.1f} device-hours; "
            "* baseline; batch = micro x accumulation x workers. "
            "Memory and times are predictions; times assume a rate that was not measured.",
            style="dim",
        )
    for reason, names in _refusals(plan).items():
        console.print(
            f"[red]refused[/] {', '.join(names)}: {reason}", highlight=False, soft_wrap=True
        )
    for group, classes in plan.mixed_numerics().items():
        console.print(
            f"[yellow]numerics[/]: group {group} would mix {' and '.join(classes)}; "
            "pin hardware.profile to compare like with like"
        )


def _refusals(plan: "Plan") -> dict[str, list[str]]:
    """Why variants are refused, and which."""
    reasons: dict[str, list[str]] = {}
    for row in plan.variants:
        if row.refusal:
            name = f"{row.variant.group}/{row.variant.name}"
            reasons.setdefault(row.refusal, []).append(name)
    return reasons


def _explain(plan: "Plan") -> None:
    for row in plan.variants:
        click.echo(f"{row.variant.group}/{row.variant.name}")
        for fit in row.fits:
            items = ", ".join(f"{name} {gib:.2f}" for name, gib in fit.memory.items() if gib)
            click.echo(f"  {fit.profile}: {fit.predicted_gib:.2f} of {fit.limit_gib:.2f} GiB")
            click.echo(f"    memory: {items}")
            for reason in fit.reasons:
                click.echo(f"    {reason}")
        for misfit in row.misfits:
            click.echo(f"  {misfit.profile}: no: {misfit.reason}")
        for option in row.unbuilt:
            click.echo(f"  not built yet: {option}")


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"
