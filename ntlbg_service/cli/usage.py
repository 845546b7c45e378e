"""`ntlbg usage`: GPU-hours by user, suite or state, and what was wasted of them."""

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.domain.usage import By
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

    from ntlbg_service.domain.usage import Used


@click.command(short_help="GPU-hours, useful and wasted, by user or suite.")
@click.option(
    "--by",
    type=click.Choice([by.value for by in By]),
    default=By.USER.value,
    show_default=True,
    help="What hours are added up by.",
)
@click.option(
    "--since",
    metavar="WHEN",
    help="Only hours after a day (2026-11-01), a time (2026-11-01T08:00), or so long ago (12h, "
    "30d, 4w). [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(by: str, since: str | None, as_json: bool, workspace: Workspace) -> None:
    """GPU-hours that attempts held, from their start until a controller saw their end.

    Useful are those of finished runs, and those behind the checkpoints that runs go on from. The
    rest is wasted, by what ended it. On a CPU a device is the place that a run takes.
    """
    from ntlbg_service.cli.moments import moment
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.domain.usage import added, usage
    from ntlbg_service.results.gpu_time import read_attempt_intervals
    from ntlbg_service.storage.local import LocalStorage

    begin = None if since is None else moment(since, "--since", time.time())
    ledger = existing_ledger(workspace)
    now = ledger.now()
    attempt_intervals = read_attempt_intervals(ledger, LocalStorage(workspace.storage), begin)
    rows = usage(attempt_intervals, By(by), now, begin)
    total = added(rows.values())
    if as_json:
        found = {
            "by": by,
            "since": begin,
            "until": now,
            "rows": [{by: name, **_as_json(used)} for name, used in rows.items()],
            "total": _as_json(total),
        }
        click.echo(json.dumps(found, indent=1))
        return
    if not rows:
        click.echo("nothing ran" + ("" if since is None else f" since {_when(begin or 0.0)}"))
        return
    from ntlbg_service.cli.console import new_console

    new_console().print(_table(by, rows, total))


def _as_json(used: "Used") -> dict[str, object]:
    values = asdict(used)
    return {"gpu_hours": values.pop("hours"), **values, "wasted_in_all": used.lost}


def _table(by: str, rows: "dict[str, Used]", total: "Used") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(by)
    for heading in ("runs", "attempts", "GPU-hours", "useful", "running", "wasted"):
        table.add_column(heading, justify="right")
    table.add_column("of it")
    for name, used in rows.items():
        table.add_row(name, *_cells(used))
    if len(rows) > 1:
        table.add_row("in all", *_cells(total))
    return table


def _cells(used: "Used") -> tuple[str, ...]:
    from ntlbg_service.domain.usage import WORDS

    parts = [
        f"{_hours(hours)} {WORDS[cause]}"
        for cause, hours in sorted(used.wasted.items(), key=lambda item: -item[1])
        if hours > 0
    ]
    words = ", ".join(parts)
    if used.redone > 0:
        words += f" ({_hours(used.redone)} of that after a checkpoint, done again)"
    hours = (used.hours, used.useful, used.running, used.lost)
    return (str(used.runs), str(used.attempts), *map(_hours, hours), words)


def _hours(hours: float) -> str:
    return f"{hours:,.2f}".replace(",", " ")


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
