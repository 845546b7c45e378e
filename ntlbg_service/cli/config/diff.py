"""`ntlbg config diff`: what two configs do differently."""

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ntlbg_service.domain.difference import Change


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(a: str, b: str, as_json: bool) -> None:
    """Say which options differ between A and B, and where each value was set.

    \b
    FILE                  a main config, or what all variants of a suite start from
    FILE:CATEGORY         a category of a main config
    FILE:VARIANT          a variant of a suite; GROUP/VARIANT where two groups have it
    FILE:VARIANT@SCALE    at a scale of the suite
    :PART                 as B: of the same file as A

    Exit code 0 whether or not they differ.
    """
    from dataclasses import asdict

    from ntlbg_service.cli.config.named import open_named, parse_name
    from ntlbg_service.domain.difference import difference

    left = parse_name(a)
    right = parse_name(b, left.file)
    changes = difference(open_named(left), open_named(right))
    if as_json:
        found = {"a": str(left), "b": str(right), "changes": [asdict(change) for change in changes]}
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(f"A  {left}\nB  {right}")
    if changes:
        _print(changes, (str(left.file.parent), str(right.file.parent)))
    else:
        click.echo("no option differs")


def _print(changes: "tuple[Change, ...]", folders: tuple[str, str]) -> None:
    from rich.table import Table

    from ntlbg_service.cli.console import new_console

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("option", "A", "B", "A from", "B from"):
        table.add_column(heading, overflow="fold")
    for change in changes:
        sides = (change.a, change.b)
        values = ["-" if side is None else json.dumps(side.value) for side in sides]
        sources = [
            "" if side is None else side.source.replace(f"{folder}/", "")
            for side, folder in zip(sides, folders, strict=True)
        ]
        table.add_row(change.option, *values, *sources)
    new_console().print(table, highlight=False)
