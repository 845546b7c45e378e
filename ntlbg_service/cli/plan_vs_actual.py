"""`ntlbg status SUITE --planned`: where runs were planned to be, beside where they were."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ntlbg_service.domain.planning.agreement import Happened, PlanComparison, Where
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Run


def compared(ledger: "Ledger", key: str, runs: "Sequence[Run]") -> "tuple[PlanComparison, ...]":
    """These runs of a suite beside the plan of its last submission."""
    from ntlbg_service.domain.planning.agreement import compare, planned_runs

    suite = ledger.suite(key)
    plan = suite.spec.get("plan") or {} if suite else {}
    return compare(planned_runs(plan), [_happened(ledger, run) for run in runs])


def _happened(ledger: "Ledger", run: "Run") -> "Happened":
    from ntlbg_service.domain.planning.agreement import Happened, Tried, Where

    return Happened(
        name=f"{run.group}/{run.variant}:{run.seed}",
        state=run.state.value,
        excluded=run.excluded,
        attempts=tuple(
            Tried(
                where=Where(attempt.fit.profile, attempt.nodes, attempt.fit.workers),
                start=(attempt.launched_at - run.created_at) / 3600,
                end=attempt.ended_at and (attempt.ended_at - run.created_at) / 3600,
                ended=attempt.message if attempt.failure else "",
                planned_fit=attempt.fit in run.fits,
            )
            for attempt in ledger.attempts_of(run.run_id)
        ),
    )


def print_compared(rows: "Sequence[PlanComparison]") -> None:
    """One line a run, and below it why it was somewhere else."""
    for row in rows:
        planned = row.planned.where.words if row.planned else "not planned"
        if row.agrees:
            click.echo(f"  {row.name}  {planned}, as planned")
        else:
            used = row.used.words if row.used else "nowhere yet"
            click.echo(f"  {row.name}  {used}; planned: {planned}")
            click.echo(f"      {row.why}")
    started = [row for row in rows if row.used]
    agreeing = sum(row.agrees for row in started)
    click.echo(f"{agreeing} of {len(started)} runs that started are where they were planned.")


def as_json(rows: "Sequence[PlanComparison]") -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "run": row.name,
            "agrees": row.agrees,
            "why": row.why,
            "planned": row.planned
            and {
                **_as_values(row.planned.where),
                "start_hours": row.planned.start,
                "end_hours": row.planned.end,
            },
            "used": row.used and _as_values(row.used),
        }
        for row in rows
    ]


def _as_values(where: "Where") -> dict[str, Any]:
    return {"profile": where.profile, "nodes": list(where.nodes), "workers": where.workers}
