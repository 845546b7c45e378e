"""`ntlbg status`: what the ledger knows of each run, and why."""

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ntlbg_service.cli.completers import complete_any
from ntlbg_service.cli.options import workspace_options
from ntlbg_service.cli.refused import print_hint
from ntlbg_service.cli.targets import existing_ledger, targets_of
from ntlbg_service.domain.states import RunState
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.listing import RunFilter
    from ntlbg_service.ledger.records import Event, RunSummary
    from ntlbg_service.results.run_status import RunStatus

SHOWN = 200
"""Runs that are shown where no suite is named and nobody says how many."""


class Shown(NamedTuple):
    """The runs of a page, and what it leaves out."""

    runs: "tuple[RunSummary, ...]"
    counts: "dict[str, Mapping[RunState, int]]"
    """Number of runs that are asked for in each suite of the page, by their states."""
    left_out: "dict[RunState, int]"


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
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=None,
    help="Show so many runs: those that run, then those that wait, then those that ended last. "
    f"[default: {SHOWN}; of a suite all]",
)
@click.option("--all", "everything", is_flag=True, help="Show every run.")
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
    limit: int | None,
    everything: bool,
    events: bool,
    planned: bool,
    as_json: bool,
    workspace: Workspace,
) -> None:
    """States of the newest runs of a suite, of one run, or of everything that is not long ended.

    SUITE is a key as `ntlbg status` shows it, or the suite's file. RUN is an id, its unique
    beginning, or GROUP/VARIANT:SEED. What is not shown is counted in a last line; with --json that
    line goes to stderr.
    """
    from ntlbg_service.results.run_status import run_statuses
    from ntlbg_service.storage.local import LocalStorage

    if target is None and not workspace.ledger_exists:
        click.echo("[]" if as_json else f"{workspace.home}: nothing was submitted here yet")
        return
    ledger = existing_ledger(workspace)
    most = None if everything else limit or (SHOWN if target is None else None)
    shown = _shown(ledger, target, [RunState(state) for state in states], users, most)
    if planned:
        _print_planned(ledger, shown.runs, as_json)
    else:
        seen = run_statuses(ledger, LocalStorage(workspace.storage), shown.runs)
        told = ledger.events_by_run([run.run_id for run in shown.runs]) if events else {}
        if as_json:
            refused = {entry.run_id: entry.error for entry in ledger.refused()}
            rows = [
                {
                    **_row(each, told.get(each.run.run_id, ())),
                    "mlflow_refused": refused.get(each.run.run_id),
                }
                for each in seen
            ]
            click.echo(json.dumps(rows, indent=1))
        else:
            if not seen:
                click.echo("no runs" + (f" are {' or '.join(states)}" if states else ""))
            _print_suites(seen, shown.counts, told)
            print_hint(ledger, list(shown.counts))
    if shown.left_out:
        number = sum(shown.left_out.values())
        words = f"{number} more: {counted(shown.left_out)}; --limit {len(shown.runs) + number}"
        click.echo(f"{words} or --all shows them, 'ntlbg status SUITE' one suite", err=as_json)


def _print_suites(
    seen: "Sequence[RunStatus]",
    counts: "Mapping[str, Mapping[RunState, int]]",
    told: "Mapping[str, Sequence[Event]]",
) -> None:
    for suite, members in _by_suite(seen).items():
        click.echo(f"{suite}: {counted(counts[suite])}")
        for line, each in zip(_lines(members), members, strict=True):
            click.echo(line)
            for event in told.get(each.run.run_id, ()):
                when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
                click.echo(f"      {when} {event.kind}: {event.message}")


def _print_planned(ledger: "Ledger", shown: "Sequence[RunSummary]", in_json: bool) -> None:
    from ntlbg_service.cli.plan_vs_actual import as_json, compared, print_compared

    runs = ledger.runs([run.run_id for run in shown]).values()
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


def counted(counts: "Mapping[RunState, int]") -> str:
    """'2 running, 4 queued'."""
    words = [f"{counts[state]} {state}" for state in RunState if counts.get(state)]
    return ", ".join(words) or "no runs"


def _shown(
    ledger: "Ledger",
    target: str | None,
    states: "Sequence[RunState]",
    users: "Sequence[str]",
    most: int | None,
) -> Shown:
    from ntlbg_service.ledger.listing import RunFilter

    found = None if target is None else targets_of(ledger, target)
    if found is not None and found.suite is None:
        one = ledger.summaries(found.run_ids)
        kept = (not states or one[0].state in states) and (not users or one[0].submitter in users)
        return _whole(one if kept else ())
    chosen = RunFilter(suite=found.suite if found else None, states=states, users=users)
    runs = ledger.listed(chosen, most)
    if most is None or len(runs) < most:
        return _whole(runs)
    return _page(ledger, chosen, runs)


def _whole(runs: "tuple[RunSummary, ...]") -> Shown:
    return Shown(runs, _counts(runs), {})


def _page(ledger: "Ledger", chosen: "RunFilter", runs: "tuple[RunSummary, ...]") -> Shown:
    """A page of more: what its suites have in all, and what is on none of its lines."""
    shown = Counter(run.state for run in runs)
    counts = ledger.count(chosen)
    left_out = {state: counts[state] - shown[state] for state in counts}
    by_suite = ledger.count_by_suite(chosen, {run.suite_key for run in runs})
    return Shown(runs, dict(by_suite), {state: n for state, n in left_out.items() if n > 0})


def _counts(runs: "Sequence[RunSummary]") -> "dict[str, Mapping[RunState, int]]":
    found: dict[str, Counter[RunState]] = {}
    for run in runs:
        found.setdefault(run.suite_key, Counter())[run.state] += 1
    return dict(found)


def _by_suite(seen: "Sequence[RunStatus]") -> "dict[str, list[RunStatus]]":
    suites: dict[str, list[RunStatus]] = {}
    for each in seen:
        suites.setdefault(each.run.suite_key, []).append(each)
    return suites


def _lines(members: "Sequence[RunStatus]") -> list[str]:
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


def _why(each: "RunStatus") -> str:
    """What is not said by the state."""
    if each.staging:
        return each.doing.removeprefix("staging, ")
    as_is = each.doing.removeprefix(each.run.state.value)
    return as_is.removeprefix(": ")


def _row(run_status: "RunStatus", events: "Sequence[Event]") -> dict[str, Any]:
    run, attempt = run_status.run, run_status.attempt
    return {
        "suite": run.suite_key,
        "run": run.label,
        "run_id": run.run_id,
        "submitter": run.submitter,
        "group": run.group,
        "variant": run.variant,
        "seed": run.seed,
        "state": run.state.value,
        "staging": run_status.staging or None,
        "reason": run.reason,
        "unread": run_status.unread or None,
        "wanted": run.wanted.value,
        "priority": run.priority,
        "excluded_nodes": list(run.excluded),
        "not_before": run.not_before or None,
        "attempts": len(run_status.attempts),
        "max_hours": run.max_hours,
        "hours_used": run_status.hours.used if run.max_hours else None,
        "on": attempt.fit.profile if attempt else None,
        "step": run_status.step,
        "steps": run_status.steps,
        "submitted_at": run.created_at,
        "changed_at": run.updated_at,
        "peak_mib": run_status.peak_mib,
        "predicted_mib": attempt.fit.predicted_gib * 1024 if attempt else None,
        "seconds_per_step": run_status.pace,
        "training_seconds_left": run_status.training_left,
        "heartbeat_age_seconds": run_status.heartbeat_age,
        "events": [
            {"time": event.time, "kind": event.kind, "who": event.who, "message": event.message}
            for event in events
        ],
    }
