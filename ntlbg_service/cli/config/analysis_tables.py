"""An analysis as tables and sentences."""

from collections.abc import Sequence

from rich.table import Table

from ntlbg_model.footprint import GIB, MIB
from ntlbg_service.cli.config.analysis import Analysis
from ntlbg_service.cli.console import new_console
from ntlbg_service.cli.plan_words import batch
from ntlbg_service.domain.fitting.analysis import Cell, Pairing, TraceComparison
from ntlbg_service.domain.fitting.calibration import said
from ntlbg_service.domain.fitting.candidates import CHUNK
from ntlbg_service.domain.fitting.fit import Fit, Misfit
from ntlbg_service.domain.fitting.fit_words import sharding_words
from ntlbg_service.domain.fitting.known_plans import KnownCell


def print_analysis(source: str, found: Analysis) -> None:
    """Fits, traces where there are some, the published pairings, the usual plans."""
    console = new_console()
    console.print(_fits(source, found.cells))
    for cell in found.cells:
        if isinstance(cell.found, Misfit):
            place = f"{cell.category}, {cell.tuning}, on {cell.profile.name}"
            console.print(f"{place}: {cell.found.reason}", highlight=False, soft_wrap=True)
    if found.compared:
        furthest = max(abs(row.difference) for row in found.compared)
        console.print(
            f"\nThe closed form, GiB, beside a trace of the same step; furthest apart "
            f"{furthest:.2%}",
            style="italic",
            highlight=False,
            soft_wrap=True,
        )
        console.print(_traces(found.compared))
    console.print()
    for profile, calibration in found.learned.items():
        console.print(said(profile, calibration), highlight=False, soft_wrap=True)
    for pair in found.pairings:
        console.print(_sentence(pair), highlight=False, soft_wrap=True)
    if found.plans:
        console.print()
        console.print(_plans(found.plans))


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _fits(source: str, cells: Sequence[Cell]) -> Table:
    headings = ("category", "tuning", "on", "batch", "settings", "peak / limit, GiB", "host")
    table = _table(f"Memory of {source}", *headings)
    for cell in cells:
        found = cell.found
        head = (cell.category, cell.tuning, cell.profile.name)
        if isinstance(found, Fit):
            closed = "" if found.traced else "~"
            peak = f"{closed}{found.predicted_gib:.1f} / {found.limit_gib:.1f}"
            host = f"{found.host_gib * found.workers:.0f}" if found.host_gib else ""
            table.add_row(*head, batch(found), _settings(found), peak, host)
        else:
            table.add_row(*head, "", "does not fit: see below", "", "")
    return table


def _settings(found: Fit) -> str:
    words: list[str] = [found.precision]
    if found.gradient_checkpointing:
        words.append("checkpointing")
    if found.zero_stage:
        words.append(sharding_words(found.step))
    if found.vision_chunk < CHUNK:
        words.append(f"vision in chunks of {found.vision_chunk}")
    return ", ".join(words)


def _traces(compared: Sequence[TraceComparison]) -> Table:
    table = _table("", "category", "tuning", "on", "limit", "closed", "traced", "difference")
    for row in compared:
        assert isinstance(row.cell.found, Fit)
        table.add_row(
            row.cell.category,
            row.cell.tuning,
            row.cell.profile.name,
            f"{row.cell.found.limit_gib:.1f}",
            f"{row.closed_gib:.2f}",
            f"{row.traced_gib:.2f}",
            f"{round(GIB / MIB * (row.closed_gib - row.traced_gib), 1) + 0.0:+.1f} MiB",
        )
    return table


def _sentence(pair: Pairing) -> str:
    fits = pair.needed_gib <= pair.limit_gib
    line = (
        f"{pair.category} on {pair.profile.name} at micro-batch {pair.micro_batch}, "
        f"{pair.tuning}, checkpointing, one GPU: {pair.needed_gib:.1f} of "
        f"{pair.limit_gib:.1f} GiB, {'fits' if fits else 'does not fit'}"
    )
    if not fits and isinstance(pair.found, Fit):
        line += f"; fits with batch {batch(pair.found)}, {_settings(pair.found)}"
    return line


def _plans(cells: Sequence[KnownCell]) -> Table:
    """A row a plan, a column a pairing; headed by the pairing's own micro-batch. What a category's
    global batch needs is said where it fits no longer."""
    rows: dict[str, list[KnownCell]] = {}
    for cell in cells:
        rows.setdefault(cell.plan, []).append(cell)
    heads = next(iter(rows.values()))
    table = _table(
        "The published pairings by the usual plans, one micro-batch a step: GiB a GPU, and whether "
        "it fits",
        "plan",
        *(
            f"{cell.category}, batch {cell.micro_batch}\n{cell.profile}, limit {cell.limit_gib:.1f}"
            for cell in heads
        ),
    )
    for plan, row in rows.items():
        table.add_row(plan, *map(_verdict, row))
    return table


def _verdict(cell: KnownCell) -> str:
    word = "fits" if cell.fits else f"no ({cell.lacking})" if cell.lacking else "no"
    told = f"{cell.needed_gib:.1f} {word}"
    if cell.fits and not cell.fits_accumulating:
        told += f"; accumulating {cell.accumulating_gib:.1f}, no"
    return told
