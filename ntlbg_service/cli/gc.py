"""`ntlbg gc`: give back disk that nobody needs."""

import json
from collections import defaultdict

import click

from ntlbg_service.cli.options import workspace_options
from ntlbg_service.domain.errors import in_one_line
from ntlbg_service.domain.retention import KEPT
from ntlbg_service.workspace import Workspace


@click.command(short_help="Give back disk that nobody needs.")
@click.option("--dry-run", is_flag=True, help="Say what would go; delete nothing.")
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
    runs is touched, nor any result: metrics, predictions, exit records and logs stay. It is safe
    beside a controller; the frame cache is left alone while anything runs.
    """
    from ntlbg_service.cleaning import find_litter
    from ntlbg_service.cli.byte_words import bytes_in_words
    from ntlbg_service.cli.targets import existing_ledger
    from ntlbg_service.storage.local import LocalStorage, take_away

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    found = []
    sizes: dict[str, list[int]] = defaultdict(list)
    for litter in find_litter(ledger, storage, workspace, keep=keep, days=days, note=_say):
        try:
            if not dry_run:
                take_away(litter.path)
        except OSError as error:
            _say(f"{litter.path}: not deleted: {error.strerror or error}")
            continue
        found.append(litter)
        sizes[litter.kind].append(litter.size)
    if as_json:
        rows = [{"kind": each.kind, "path": str(each.path), "bytes": each.size} for each in found]
        click.echo(json.dumps({"deleted": not dry_run, "found": rows}, indent=1))
        return
    for kind, each in sizes.items():
        click.echo(f"{kind:<12} {len(each):>6}  {bytes_in_words(sum(each)):>10}")
    total = bytes_in_words(sum(map(sum, sizes.values())))
    click.echo(f"{total} would be freed; nothing was deleted" if dry_run else f"{total} freed")


def _say(words: str) -> None:
    click.echo(f"ntlbg: {in_one_line(words)}", err=True)
