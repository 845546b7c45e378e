"""`ntlbg status`: what the ledger knows, and why."""

import json
import time
from typing import Any

import click

from ntlbg_service.cli.options import open_ledger, workspace_options
from ntlbg_service.workspace import Workspace


@click.command()
@click.argument("suite_key", required=False)
@click.option("--events", is_flag=True, help="Show what happened to each run, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@workspace_options
def command(suite_key: str | None, events: bool, as_json: bool, workspace: Workspace) -> None:
    """States of the runs of SUITE_KEY (as `ntlbg run` names it), or of every suite."""
    from ntlbg_service.domain.errors import UserError, nearest

    ledger = open_ledger(workspace)
    keys = ledger.suite_keys()
    if suite_key is not None and suite_key not in keys:
        raise UserError(f"unknown suite '{suite_key}'; {nearest(suite_key, keys)}")
    rows: list[dict[str, Any]] = []
    for key in [suite_key] if suite_key else keys:
        for run in ledger.current_runs(key):
            attempts = ledger.attempts_of(run.run_id)
            rows.append(
                {
                    "suite": key,
                    "run": run.label,
                    "run_id": run.run_id,
                    "state": run.state.value,
                    "reason": run.reason,
                    "attempts": len(attempts),
                    "on": attempts[-1].fit.profile if attempts else None,
                    "events": [
                        {"time": event.time, "kind": event.kind, "message": event.message}
                        for event in (ledger.events_of(run.run_id) if events else ())
                    ],
                }
            )
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        reason = f"  {row['reason']}" if row["reason"] else ""
        attempts_text = f"{row['attempts']} attempts" if row["attempts"] != 1 else "1 attempt"
        click.echo(
            f"{row['suite']}  {row['run']:<40} {row['run_id']}  {row['state']:<10} "
            f"{attempts_text}{reason}"
        )
        for event in row["events"]:
            when = time.strftime("%H:%M:%S", time.localtime(event["time"]))
            click.echo(f"    {when} {event['kind']}: {event['message']}")
