"""`ntlbg config analyze`: the memory of every category on every kind of GPU."""

import os
from pathlib import Path

import click

from ntlbg_service.cli.options import FILE

MAIN = Path("configs/longvideo_config.json")


@click.command()
@click.option("--config", "file", type=FILE, default=MAIN, show_default=True, help="A main config.")
def command(file: Path) -> None:
    """Say what every category of a main config needs on every GPU, and with which settings.

    Predicted in closed form for nodes of 8 GPUs, 96 cores and 768 GiB. `~` as in `ntlbg plan`.
    """
    from rich.console import Console
    from rich.table import Table

    from ntlbg_service.domain.analysis import cells, pairings
    from ntlbg_service.domain.fit import Fit
    from ntlbg_service.domain.resolve import Layer, resolve
    from ntlbg_service.loading import load_kinds, load_main

    kinds = load_kinds(os.environ)
    sections, categories = load_main(file, kinds)
    base = Layer(str(file), sections)
    configs = {
        name: resolve([base, Layer(f"{file} categories.{name}", category.overrides)], kinds).config
        for name, category in categories.items()
    } or {"(all)": resolve([base], kinds).config}
    console = Console()
    if not console.is_terminal:
        console.width = 160
    table = Table(title=f"Memory of {file}", title_justify="left", box=None, pad_edge=False)
    for heading in ("category", "tuning", "on", "batch", "settings", "peak / limit, GiB", "host"):
        table.add_column(heading, overflow="fold")
    for cell in cells(configs, kinds=kinds):
        found = cell.found
        head = (cell.category, cell.tuning, cell.profile.name)
        if isinstance(found, Fit):
            peak = f"~{found.predicted_gib:.1f} / {found.limit_gib:.1f}"
            host = f"{found.host_gib * found.workers:.0f}" if found.host_gib else ""
            batch = f"{found.micro_batch} x {found.accumulation} x {found.workers}"
            table.add_row(*head, batch, _settings(found), peak, host)
        else:
            table.add_row(*head, "", f"no: {found.reason}", "", "")
    console.print(table)
    console.print()
    for pair in pairings(configs):
        fits = pair.needed_gib <= pair.limit_gib
        line = (
            f"{pair.category} on {pair.profile.name} at micro-batch {pair.micro_batch}, "
            f"{pair.tuning}, checkpointing, one GPU: {pair.needed_gib:.1f} of "
            f"{pair.limit_gib:.1f} GiB, {'fits' if fits else 'does not fit'}"
        )
        if not fits and isinstance(pair.found, Fit):
            batch = f"{pair.found.micro_batch} x {pair.found.accumulation} x {pair.found.workers}"
            line += f"; fits with batch {batch}, {_settings(pair.found)}"
        console.print(line, highlight=False, soft_wrap=True)


def _settings(found: object) -> str:
    from ntlbg_service.domain.candidates import CHUNK
    from ntlbg_service.domain.fit import Fit
    from ntlbg_service.domain.fit_words import sharding_words

    assert isinstance(found, Fit)
    words: list[str] = [found.precision]
    if found.gradient_checkpointing:
        words.append("checkpointing")
    if found.zero_stage:
        words.append(sharding_words(found.step))
    if found.vision_chunk < CHUNK:
        words.append(f"vision in chunks of {found.vision_chunk}")
    return ", ".join(words)
