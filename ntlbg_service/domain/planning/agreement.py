"""The plan of a submission beside what happened: where each run was to be, where it was, why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SOONER = 0.02
"""Hours by which two starts may differ and be called the same."""


class Where(NamedTuple):
    """A place of a run."""

    profile: str
    nodes: tuple[str, ...]
    workers: int

    def same(self, other: "Where") -> bool:
        """Whether both are the same devices, in whatever order the nodes are named."""
        alike = (self.profile, self.workers) == (other.profile, other.workers)
        return alike and sorted(self.nodes) == sorted(other.nodes)

    @property
    def words(self) -> str:
        """`A100-40GB x 2 on lab-1`."""
        many = f" x {self.workers}" if self.workers > 1 else ""
        return f"{self.profile}{many} on {', '.join(self.nodes) or 'any node'}"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One attempt of a run."""

    where: Where
    start: float
    """Hours since its submission."""
    end: float | None = None
    """None while it goes on."""
    ended: str = ""
    """Why it ended, where it did not finish."""
    planned_fit: bool = True
    """It ran with settings that it was submitted with."""


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What became of a run."""

    name: str
    """`group/variant:seed`."""
    state: str
    attempts: tuple[Tried, ...] = ()
    excluded: tuple[str, ...] = ()
    """Nodes that it is kept off."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Where and when a run was to be."""

    where: Where
    start: float
    """Hours after submission."""
    end: float


@dataclass(frozen=True, kw_only=True)
class PlanComparison:
    """One run."""

    name: str
    planned: Planned | None
    """None for one that the plan does not have."""
    used: Where | None
    """Of its last attempt; None for one that has not started."""
    agrees: bool
    """It was where it was to be."""
    why: str
    """Why not; empty where it agrees."""


def planned_runs(record: Mapping[str, Any]) -> dict[str, Planned]:
    """Every run of a plan as `plan_record` wrote it, by name."""
    return {
        f"{row['group']}/{row['variant']}:{row['seed']}": Planned(
            where=Where(row["fit"]["profile"], tuple(row["nodes"]), _workers(row["fit"])),
            start=row["start_hours"],
            end=row["end_hours"],
        )
        for row in record.get("runs", ())
    }


def _workers(fit: Mapping[str, Any]) -> int:
    return int(fit["workers"])


def compare(
    planned: Mapping[str, Planned], happened: Sequence[Happened]
) -> tuple[PlanComparison, ...]:
    """Each run that there is, with the difference to its plan and what it comes from."""
    runs = {run.name: run for run in happened}
    return tuple(_compared(run, planned, runs) for run in happened)


def _compared(
    run: Happened, planned: Mapping[str, Planned], runs: Mapping[str, Happened]
) -> PlanComparison:
    plan = planned.get(run.name)
    last = run.attempts[-1] if run.attempts else None
    agrees = plan is not None and last is not None and plan.where.same(last.where)
    return PlanComparison(
        name=run.name,
        planned=plan,
        used=last.where if last else None,
        agrees=agrees,
        why="" if agrees else _why(run, plan, planned, runs),
    )


def _why(
    run: Happened,
    plan: Planned | None,
    planned: Mapping[str, Planned],
    runs: Mapping[str, Happened],
) -> str:
    if plan is None:
        return "the plan of the last submission does not have it"
    if not run.attempts:
        return f"has not started: {run.state}"
    last = run.attempts[-1]
    off = sorted(set(run.excluded) & set(plan.where.nodes))
    if off:
        return f"kept off {', '.join(off)} after it was lost there"
    if not last.planned_fit:
        return "memory ran out, and the next settings are those of another place"
    if len(run.attempts) > 1 and run.attempts[-2].ended:
        return f"attempt {len(run.attempts)}, after: {run.attempts[-2].ended}"
    return _timing(run, plan, planned, runs)


def _timing(
    run: Happened,
    plan: Planned,
    planned: Mapping[str, Planned],
    runs: Mapping[str, Happened],
) -> str:
    """Hours were not as predicted: something left its place sooner or later, or was not there."""
    first = run.attempts[0]
    before = _ended_on(first, run, runs)
    if before is not None:
        said = planned.get(before.name)
        took = before.attempts[-1].end or 0.0
        word = f", planned for {said.end:.2f} h" if said else ""
        return (
            f"{', '.join(first.where.nodes)} was free at {first.start:.2f} h, when {before.name} "
            f"had ended there ({took:.2f} h{word}); the plan had it start at {plan.start:.2f} h on "
            f"{', '.join(plan.where.nodes)}"
        )
    holder = _holding(plan.where.nodes, first.start, run, runs)
    if holder is not None:
        return f"{', '.join(plan.where.nodes)} was held by {holder.name} when its turn came"
    if first.start + SOONER < plan.start:
        return (
            f"{', '.join(first.where.nodes)} was free at {first.start:.2f} h; the plan had it "
            f"start at {plan.start:.2f} h"
        )
    return (
        f"{', '.join(plan.where.nodes)} was not there, not usable or held by another suite when "
        "its turn came"
    )


def _ended_on(first: Tried, run: Happened, runs: Mapping[str, Happened]) -> Happened | None:
    """The run of this suite that left the node last before this one came."""
    nodes = set(first.where.nodes)
    left = [
        (each.attempts[-1].end or 0.0, name)
        for name, each in runs.items()
        if each is not run
        and each.attempts
        and each.attempts[-1].end is not None
        and each.attempts[-1].end <= first.start
        and nodes & set(each.attempts[-1].where.nodes)
    ]
    return runs[max(left)[1]] if left else None


def _holding(
    nodes: Sequence[str], moment: float, run: Happened, runs: Mapping[str, Happened]
) -> Happened | None:
    """A run of this suite that was on one of the nodes at a moment."""
    for each in runs.values():
        for tried in each.attempts if each is not run else ():
            over = tried.end is not None and tried.end <= moment
            if tried.start <= moment and not over and set(nodes) & set(tried.where.nodes):
                return each
    return None
