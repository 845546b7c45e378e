"""`ntlbg status`: what the ledger knows of each run, and why."""

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ntlbg_service.cli.completing import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.refused import print_hint
from ntlbg_service.cli.targets import existing_ledger, targets_of
from ntlbg_service.domain.states import RunState
from ntlbg_service.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Run
    from ntlbg_service.standings import Standing


@click.command(short_help="States of runs, and why.")
@click.argument("target", shell_complete=complete_any, metavar="[SUITE|RUN]", required=False)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in RunState]),
    help="Only runs in this state. Repeatable.",
)
@click.option("--user", "users", multiple=True, help="Only runs of this user. Repeatable.")
@click.option("--events", is_flag=True, help="Show what happened to each run, and why.")
@click.option(
    "--planned",
    is_flag=True,
    help="Where runs were planned to be when they were submitted, where they were, and why.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(
    target: str | None,
    states: tuple[str, ...],
    users: tuple[str, ...],
    events: bool,
    planned: bool,
    as_json: bool,
    workspace: Workspace,
) -> None:
    """States of the newest runs of a suite, of one run, or of everything.

    SUITE is a key as `ntlbg status` shows it, or the suite's file. RUN is an id, its unique
    beginning, or GROUP/VARIANT:SEED.
    """
    from ntlbg_service.standings import standings
    from ntlbg_service.storage.local import LocalStorage

    if target is None and not workspace.ledger_exists:
        click.echo("[]" if as_json else f"{workspace.home}: nothing was submitted here yet")
        return
    ledger = existing_ledger(workspace)
    runs = [
        run
        for run in _chosen(ledger, target)
        if (not states or run.state in states) and (not users or run.submitter in users)
    ]
    if planned:
        _print_planned(ledger, runs, as_json)
        return
    seen = standings(ledger, LocalStorage(workspace.storage), runs)
    if as_json:
        refused = {entry.run_id: entry.error for entry in ledger.refused()}
        rows = [
            {**_row(ledger, each, events), "mlflow_refused": refused.get(each.run.run_id)}
            for each in seen
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    if not seen:
        click.echo("no runs" + (f" are {' or '.join(states)}" if states else ""))
    for suite, members in _by_suite(seen).items():
        click.echo(f"{suite}: {counted([each.run for each in members])}")
        for line, each in zip(_lines(members), members, strict=True):
            click.echo(line)
            _print_events(ledger, each.run if events else None)
    print_hint(ledger, list(dict.fromkeys(each.run.suite_key for each in seen)))


def _print_planned(ledger: "Ledger", runs: "Sequence[Run]", in_json: bool) -> None:
    from ntlbg_service.cli.planned import as_json, compared, print_compared

    keys = dict.fromkeys(run.suite_key for run in runs)
    found = {
        key: compared(ledger, key, [run for run in runs if run.suite_key == key]) for key in keys
    }
    if in_json:
        click.echo(json.dumps({key: as_json(rows) for key, rows in found.items()}, indent=1))
        return
    for key, rows in found.items():
        click.echo(f"{key}:")
        print_compared(rows)


def counted(runs: "Sequence[Run]") -> str:
    """'2 running, 4 queued'."""
    counts = Counter(run.state for run in runs)
    return ", ".join(f"{counts[state]} {state}" for state in RunState if counts[state]) or "no runs"


def _chosen(ledger: "Ledger", target: str | None) -> list["Run"]:
    if target is None:
        return [run for key in ledger.suite_keys() for run in ledger.current_runs(key)]
    found = targets_of(ledger, target)
    if found.suite is not None:
        return list(ledger.current_runs(found.suite))
    return [ledger.run(name.run_id) for name in found.names]


def _by_suite(seen: "Sequence[Standing]") -> "dict[str, list[Standing]]":
    suites: dict[str, list[Standing]] = {}
    for each in seen:
        suites.setdefault(each.run.suite_key, []).append(each)
    return suites


def _lines(members: "Sequence[Standing]") -> list[str]:
    rows = [
        (
            f"{each.run.group}/{each.run.variant}:{each.run.seed}",
            each.run.run_id,
            each.run.submitter,
            "staging" if each.staging else each.run.state.value,
            f"attempt {len(each.attempts)}" if each.attempts else "-",
            each.attempt.fit.profile if each.attempt else "-",
            _why(each),
        )
        for each in members
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]


def _why(each: "Standing") -> str:
    """What is not said by the state."""
    if each.staging:
        return each.doing.removeprefix("staging, ")
    as_is = each.doing.removeprefix(each.run.state.value)
    return as_is.removeprefix(": ")


def _print_events(ledger: "Ledger", run: "Run | None") -> None:
    for event in ledger.events_of(run.run_id) if run else ():
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
        click.echo(f"      {when} {event.kind}: {event.message}")


def _row(ledger: "Ledger", standing: "Standing", events: bool) -> dict[str, Any]:
    run, attempt = standing.run, standing.attempt
    return {
        "suite": run.suite_key,
        "run": run.label,
        "run_id": run.run_id,
        "submitter": run.submitter,
        "group": run.group,
        "variant": run.variant,
        "seed": run.seed,
        "state": run.state.value,
        "staging": standing.staging or None,
        "reason": run.reason,
        "unread": standing.unread or None,
        "wanted": run.wanted.value,
        "priority": run.priority,
        "excluded_nodes": list(run.excluded),
        "not_before": run.not_before or None,
        "attempts": len(standing.attempts),
        "max_hours": run.max_hours,
        "hours_used": standing.hours.used if run.max_hours else None,
        "on": attempt.fit.profile if attempt else None,
        "step": standing.step,
        "steps": standing.steps,
        "submitted_at": run.created_at,
        "changed_at": run.updated_at,
        "peak_mib": standing.peak_mib,
        "predicted_mib": attempt.fit.predicted_gib * 1024 if attempt else None,
        "seconds_per_step": standing.pace,
        "training_seconds_left": standing.training_left,
        "heartbeat_age_seconds": standing.heartbeat_age,
        "events": [
            {"time": event.time, "kind": event.kind, "who": event.who, "message": event.message}
            for event in (ledger.events_of(run.run_id) if events else ())
        ],
    }
