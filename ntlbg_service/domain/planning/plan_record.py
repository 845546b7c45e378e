"""A plan as JSON values, for the ledger and for other programs."""

from dataclasses import asdict
from typing import Any

from ntlbg_service.domain.planning.disk import disk_of_plan
from ntlbg_service.domain.planning.plan import Plan, RunKey
from ntlbg_service.domain.scheduling.cluster import HoursInterval


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values: the whole inventory, every run with its fit, and what is refused."""
    used = {id(row.placement.fit): row.placement.fit for row in plan.intervals.values()}
    fits = {key: asdict(fit) for key, fit in used.items()}
    return {
        "inventory": asdict(plan.inventory),
        "makespan_hours": plan.makespan_hours,
        "least_makespan_hours": plan.least_hours,
        "gpu_hours": plan.gpu_hours,
        "cost": plan.cost,
        "checkpoints_gib": asdict(disk_of_plan(plan)),
        "numerics": dict(plan.classes),
        "mixed_numerics": plan.mixed_numerics(),
        "unpinned_makespan_hours": plan.unpinned_hours,
        "added_nodes": [
            {
                "node": node.node.name,
                "profile": node.node.profile,
                "asked_for_hours": node.start,
                "released_hours": node.end,
                "cost": node.cost,
            }
            for node in plan.rented
            if node.added
        ],
        "runs": [
            _run(key, interval, fits[id(interval.placement.fit)])
            for key, interval in plan.intervals.items()
        ],
        "refused": [
            {"group": row.variant.group, "variant": row.variant.name, "reason": row.refusal}
            for row in plan.variants
            if row.refusal
        ],
    }


def _run(key: RunKey, interval: HoursInterval, as_values: dict[str, Any]) -> dict[str, Any]:
    group, variant, seed = key
    fit = interval.placement.fit
    return {
        "group": group,
        "variant": variant,
        "seed": seed,
        "start_hours": interval.start,
        "end_hours": interval.end,
        "nodes": list(interval.placement.nodes),
        "gpu_hours": fit.gpu_hours,
        "numerics": fit.numerics,
        "fit": as_values,
    }
