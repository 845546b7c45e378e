"""`ntlbg gc`: give back disk that nobody needs."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.domain.errors import in_one_line
from ntlbg_service.domain.retention import KEPT
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.maintenance.garbage_collection import Reclaimable


@click.command(short_help="Give back disk that nobody needs.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would go, of which run and why; delete nothing."
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    default=KEPT,
    show_default=True,
    help="Newest checkpoints of each run that stay, beside the best.",
)
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Decoded frames and traces that were not read for so long go.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: every path with its bytes.")
@workspace_options
def command(dry_run: bool, keep: int, days: float, as_json: bool, workspace: Workspace) -> None:
    """Delete checkpoints beyond the newest and the best of each run, and caches not used.

    The best is the one with the least training loss measured before it. Nothing of an attempt that
    runs is touched, nor any result: metrics, predictions, exit records and logs stay. A checkpoint
    whose marker cannot be understood stays too, and is named. It is safe beside a controller; the
    frame cache is left alone while anything runs.
    """
    from ntlbg_service.cli.formatting import bytes_in_words
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.maintenance.garbage_collection import GarbageReport, find_reclaimable
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    looked = find_reclaimable(ledger, storage, workspace, keep=keep, days=days, note=_say)
    found = (
        looked if dry_run else GarbageReport(tuple(filter(_deleted, looked.litter)), looked.unclear)
    )
    if as_json:
        rows = {"found": _rows(found.litter), "unclear": _rows(found.unclear)}
        click.echo(json.dumps({"deleted": not dry_run, **rows}, indent=1))
        return
    if dry_run:
        _list(found.litter)
    sizes: dict[str, list[int]] = defaultdict(list)
    for litter in found.litter:
        sizes[litter.kind].append(litter.size)
    for kind, each in sizes.items():
        click.echo(f"{kind:<12} {len(each):>6}  {bytes_in_words(sum(each)):>10}")
    for kept in found.unclear:
        size = bytes_in_words(kept.size)
        click.echo(f"kept: {kept.run}: {kept.path.name} ({size}): {kept.why}")
    total = bytes_in_words(sum(map(sum, sizes.values())))
    click.echo(f"{total} would be freed; nothing was deleted" if dry_run else f"{total} freed")


def _deleted(litter: "Reclaimable") -> bool:
    from ntlbg_service.storage.local import delete_atomically

    try:
        delete_atomically(litter.path)
    except OSError as error:
        _say(f"{litter.path}: not deleted: {error.strerror or error}")
        return False
    return True


def _say(words: str) -> None:
    click.echo(f"ntlbg: {in_one_line(words)}", err=True)


def _list(found: "Sequence[Reclaimable]") -> None:
    """A line for each thing of a run, largest first; caches are only counted."""
    from ntlbg_service.cli.formatting import bytes_in_words

    for litter in sorted(found, key=lambda each: -each.size):
        if litter.run:
            size = bytes_in_words(litter.size)
            click.echo(f"{litter.kind}: {litter.run}: {litter.path.name} ({size}): {litter.why}")


def _rows(found: "Sequence[Reclaimable]") -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind,
            "path": str(each.path),
            "bytes": each.size,
            "run": each.run or None,
            "why": each.why,
        }
        for each in found
    ]
