"""`ntlbg explain`: why a run waits, why there, why so, why again."""

import time
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.completers import complete_run
from ntlbg_service.cli.leader import who_drives
from ntlbg_service.cli.options import caps_option, read_caps, workspace_options
from ntlbg_service.cli.param_types import FILE
from ntlbg_service.cli.place import pasteable
from ntlbg_service.cli.targets import existing_ledger, run_of
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import Console

    from ntlbg_service.domain.launch import StagedNode
    from ntlbg_service.domain.scheduling.caps import Caps
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Attempt, Run
    from ntlbg_service.results.run_status import RunStatus
    from ntlbg_service.storage.local import Storage


@click.command(short_help="Why a run waits, where it is, what it took.")
@click.argument("run", shell_complete=complete_run)
@click.option("--inventory", type=FILE, help="Nodes to wait for, instead of this machine's.")
@caps_option
@workspace_options
def command(run: str, inventory: "Path | None", caps: "Path | None", workspace: Workspace) -> None:
    """Say why RUN is where it is.

    What it waits for; every attempt, why it was made, on which GPU and why that one; its settings
    with what each bought; predicted memory item by item, and what was measured.
    """
    from ntlbg_service.cli.console import new_console
    from ntlbg_service.cli.explanation import print_settings, say
    from ntlbg_service.domain.states import RunState
    from ntlbg_service.results.run_status import run_status
    from ntlbg_service.storage.local import LocalStorage

    ledger = existing_ledger(workspace)
    storage = LocalStorage(workspace.storage)
    chosen = run_of(ledger, run)
    seen = run_status(ledger, storage, chosen)
    console = new_console()
    _print_head(console, chosen, seen)
    if chosen.state is RunState.QUEUED:
        _print_wait(console, ledger, chosen, inventory, read_caps(caps))
    for attempt in seen.attempts:
        _print_attempt(console, ledger, storage, seen, attempt, chosen)
    fit = seen.attempt.fit if seen.attempt else min(chosen.fits, key=lambda fit: fit.gpu_hours)
    print_settings(console, fit)
    say(console, 1, "what happened")
    for event in ledger.events_of(seen.run.run_id):
        say(console, 2, f"{_when(event.time)}  {event.kind}: {event.message}")


def _print_head(console: "Console", run: "Run", seen: "RunStatus") -> None:
    from rich.text import Text

    from ntlbg_service.cli.explanation import say
    from ntlbg_service.domain.states import RunState

    head = Text.assemble((run.label, "bold"), f"  {run.run_id}  {run.suite_key}")
    say(console, 0, head)
    if run.details.get("description"):
        say(console, 0, run.details["description"])
    say(console, 1, f"submitted {_when(run.created_at)} by {run.submitter}")
    say(console, 1, f"now {seen.doing}")
    if seen.hours.words and run.state is not RunState.RUNNING:
        say(console, 1, seen.hours.words)


def _print_wait(
    console: "Console", ledger: "Ledger", run: "Run", inventory: "Path | None", caps: "Caps"
) -> None:
    from ntlbg_service.cli.explanation import say
    from ntlbg_service.cli.inventory_choice import choose_inventory
    from ntlbg_service.cli.plan_words import duration
    from ntlbg_service.controller.waiting import reasons_to_wait

    nodes = choose_inventory(inventory, None).nodes()
    wait, reasons = reasons_to_wait(ledger, run, nodes, caps)
    for words in reasons:
        say(console, 1, f"why waiting: {pasteable(words)}")
    if wait is not None and wait.interval.start > 0:
        say(console, 2, f"by predicted hours that is in {duration(wait.interval.start)}")
    say(console, 1, f"priority {run.priority}; {who_drives(ledger)}")


def _print_attempt(
    console: "Console",
    ledger: "Ledger",
    storage: "Storage",
    seen: "RunStatus",
    attempt: "Attempt",
    run: "Run",
) -> None:
    from ntlbg_service.cli.explanation import say
    from ntlbg_service.cli.plan_words import batch, duration, where
    from ntlbg_service.domain.planning.explain import why_kind

    fit = attempt.fit
    until = attempt.ended_at or ledger.now()
    took = duration(max(until - attempt.launched_at, 0.0) / 3600)
    state = f"{attempt.state} after {took}" if attempt.ended_at else f"running for {took}"
    say(
        console,
        1,
        f"attempt {attempt.number} on {where(fit)}, batch {batch(fit)}, from "
        f"{_when(attempt.launched_at)}: {state}",
    )
    if attempt.nodes:
        say(console, 2, f"node {', '.join(attempt.nodes)}")
    say(console, 2, f"why {fit.profile}: {why_kind(fit, run.fits)}")
    if attempt.resume_from:
        say(console, 2, f"resumes from {attempt.resume_from}")
    if attempt.message:
        say(console, 2, f"ended: {attempt.message}")
    for line in _read(storage, seen, attempt, run.config):
        say(console, 2, line)


def _read(
    storage: "Storage", seen: "RunStatus", attempt: "Attempt", config: "Mapping[str, Any]"
) -> list[str]:
    """What storage says of an attempt, or why it says nothing."""
    from ntlbg_service.domain.errors import InfrastructureError, in_one_line

    try:
        return _measured(storage, seen, attempt, config)
    except InfrastructureError as error:
        return [in_one_line(str(error))]


def _measured(
    storage: "Storage", seen: "RunStatus", attempt: "Attempt", config: "Mapping[str, Any]"
) -> list[str]:
    """What this attempt took of memory and time, beside what was predicted."""
    from ntlbg_service.domain.launch import Heartbeat, StagedNode
    from ntlbg_service.domain.memory_words import against
    from ntlbg_service.results.attempts import damage, read_exit
    from ntlbg_service.storage.layout import AttemptKeys
    from ntlbg_service.storage.typed_records import read_intact

    keys = AttemptKeys(attempt.run_id, attempt.number)
    record = read_exit(storage, keys)
    told = [read_intact(storage, StagedNode, key) for key in storage.keys(keys.all_staged)]
    staged = [_brought(node) for node in told if node is not None]
    peak = record.peak_memory_mib if record else attempt.measured.peak_mib
    if peak is None:
        beat = read_intact(storage, Heartbeat, keys.heartbeat)
        peak = beat.peak_memory_mib if beat else None
    sets = [each["name"] for each in config["data"]["evaluation"]]
    damaged = [f"in storage, {words}" for words in damage(storage, keys, sets)]
    lines = [*staged, *damaged, f"memory: {against(attempt.fit.predicted_gib, peak)}"]
    if record is not None and record.train_seconds is not None:
        lines.append(
            f"training took {record.train_seconds:.0f} s, "
            f"predicted {attempt.fit.hours * 3600:.0f} s{_waited(record.waited_seconds)}"
        )
    if attempt is seen.attempt and seen.heartbeat_age is not None:
        lines.append(f"last sign of life {seen.heartbeat_age:.0f} s ago")
    return lines


def _waited(seconds: float | None) -> str:
    """How much of a training's time was spent on waiting for storage."""
    return "" if seconds is None or seconds < 1 else f"; {seconds:.0f} s of it writing checkpoints"


def _brought(staged: "StagedNode") -> str:
    """What one node did before the run began."""
    copied = f"{staged.copied_bytes / 1024**3:.2f} GiB copied"
    fresh = copied if staged.copied_files else "all of it was there"
    return f"staging on {staged.host} took {staged.seconds:.0f} s, {fresh}"


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
