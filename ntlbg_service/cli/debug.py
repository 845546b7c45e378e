"""`ntlbg debug`: one attempt of a run in the foreground."""

import os
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import click

from ntlbg_service.cli.completers import complete_run
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.targets import existing_ledger, run_of
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.domain.launch import LaunchSpec
    from ntlbg_service.storage.layout import AttemptKeys
    from ntlbg_service.storage.local import LocalStorage

POLL_SECONDS = 0.2


@click.command(short_help="One attempt in the foreground, unrecorded.")
@click.argument("run", shell_complete=complete_run)
@click.option("--steps", type=click.IntRange(min=1), help="Train at most so many steps.")
@click.option("--keep", type=FILE, help="Keep what it writes in this new folder.")
@workspace_options
def command(run: str, steps: int | None, keep: Path | None, workspace: Workspace) -> None:
    """Run one attempt of RUN here and now, its output on this terminal.

    It starts from the first step, in a home of its own: ledger, results and MLflow are untouched,
    and a run that ended may be tried again and again. Ctrl-C ends it and all of its processes.
    """
    from ntlbg_service.domain.errors import UserError
    from ntlbg_service.maintenance.debug_run import debug_spec
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    chosen = run_of(ledger, run)
    if keep is not None and os.path.lexists(keep):
        raise UserError(f"--keep: {keep} exists already")
    scratch = keep or Path(mkdtemp(prefix="ntlbg-debug-"))
    spec = debug_spec(ledger, chosen, workspace, scratch, steps)
    try:
        _run(LocalStorage(Path(spec.storage)), spec)
    finally:
        if keep is None:
            shutil.rmtree(scratch, ignore_errors=True)


def _run(storage: "LocalStorage", spec: "LaunchSpec") -> None:
    """Start it, print what it writes, say how it ended. Raises RunsFailedError."""
    from ntlbg_service.cli.logs import print_log
    from ntlbg_service.cli.signals import terminable
    from ntlbg_service.executors.contract import LaunchStatus
    from ntlbg_service.executors.local import LocalExecutor
    from ntlbg_service.maintenance.debug_run import write_spec

    keys = write_spec(storage, spec)
    executor = LocalExecutor(storage, os.environ)
    place = 0
    with terminable():
        try:
            executor.launch(spec)
            while executor.status(keys) is LaunchStatus.RUNNING:
                place = print_log(storage, keys, place)
                time.sleep(POLL_SECONDS)
        finally:
            executor.stop(keys)
            print_log(storage, keys, place)
    _print_end(storage, keys, spec)


def _print_end(storage: "LocalStorage", keys: "AttemptKeys", spec: "LaunchSpec") -> None:
    from ntlbg_service.domain.errors import RunsFailedError
    from ntlbg_service.domain.memory_words import against
    from ntlbg_service.results.attempts import read_exit

    record = read_exit(storage, keys)
    if record is None:
        raise RunsFailedError("the attempt ended without an exit record; its last words are above")
    click.echo(f"memory: {against(spec.fit.predicted_gib, record.peak_memory_mib)}")
    for name, value in record.results.items():
        click.echo(f"{name}: {value:.4g}")
    if not record.finished:
        raise RunsFailedError(f"{record.failure}: {record.message}")
    click.echo("finished; nothing of it was recorded")
