"""The plan of a suite on an inventory: who runs where, for how long, and who cannot, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from ntlbg_model.built import unbuilt
from ntlbg_model.config import STRICT
from ntlbg_service.domain.fit import Fit, Misfit, fit
from ntlbg_service.domain.profiles import NodeShape, profile_named
from ntlbg_service.domain.schedule import Interval, Job, simulate
from ntlbg_service.domain.suite import Variant


@dataclass(frozen=True, kw_only=True)
class NodeGroup:
    """Nodes of one kind."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    profile: str
    """GPU kind, or 'cpu'."""
    gpus: int
    """GPUs a node; for 'cpu' the runs that may go on at once."""
    nodes: int = 1
    """Nodes there now."""
    cores: int = 8
    """CPU cores a node."""
    host_memory_gib: float = 64.0
    """Host memory a node."""

    def __post_init__(self) -> None:
        for name in ("gpus", "nodes", "cores"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.host_memory_gib <= 0:
            raise ValueError(f"host_memory_gib must be above 0, got {self.host_memory_gib}")

    @property
    def shape(self) -> NodeShape:
        """What one node offers beside GPUs."""
        return NodeShape(cores=self.cores, host_memory_gib=self.host_memory_gib)


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Nodes and GPUs that a plan counts on."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    groups: tuple[NodeGroup, ...]
    description: str = ""

    def capacity(self) -> dict[str, int]:
        """Devices by profile."""
        counts: dict[str, int] = {}
        for group in self.groups:
            name = profile_named(group.profile, self.name).name
            counts[name] = counts.get(name, 0) + group.gpus * group.nodes
        return counts


@dataclass(frozen=True, kw_only=True)
class PlannedVariant:
    """One variant, its fits, and why it cannot run where it cannot."""

    variant: Variant
    fits: tuple[Fit, ...]
    misfits: tuple[Misfit, ...]
    unbuilt: tuple[str, ...]

    @property
    def refusal(self) -> str | None:
        """Why this variant can never run here; None where it can."""
        if self.unbuilt:
            return f"not built yet: {', '.join(self.unbuilt)}"
        if not self.fits:
            return "; ".join(f"{misfit.profile}: {misfit.reason}" for misfit in self.misfits)
        return None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a suite would do on an inventory."""

    inventory: Inventory
    variants: tuple[PlannedVariant, ...]
    intervals: Mapping[tuple[str, str, int], Interval] = field(default_factory=dict)
    """(group, variant, seed) to place and time; refused variants have none."""

    @property
    def makespan_hours(self) -> float:
        """Hours until the last planned run ends."""
        return max((interval.end for interval in self.intervals.values()), default=0.0)

    @property
    def gpu_hours(self) -> float:
        """Device-hours of all planned runs."""
        return sum(interval.placement.fit.gpu_hours for interval in self.intervals.values())

    def mixed_numerics(self) -> dict[str, tuple[str, ...]]:
        """Groups whose runs would compute in more than one numerics class."""
        classes: dict[str, set[str]] = {}
        for (group, _, _), interval in self.intervals.items():
            classes.setdefault(group, set()).add(interval.placement.fit.numerics)
        return {group: tuple(sorted(found)) for group, found in classes.items() if len(found) > 1}


def fit_variant(variant: Variant, inventory: Inventory) -> PlannedVariant:
    """Fit one variant to every kind of device of an inventory."""
    fits: list[Fit] = []
    misfits: list[Misfit] = []
    capacity = inventory.capacity()
    for group in inventory.groups:
        profile = profile_named(group.profile, inventory.name)
        result = fit(variant.config, profile, group.shape)
        if isinstance(result, Fit) and result.workers > capacity[profile.name]:
            result = Misfit(
                profile=profile.name,
                reason=f"needs {result.workers} devices, there are {capacity[profile.name]}",
            )
        (fits if isinstance(result, Fit) else misfits).append(result)  # type: ignore[arg-type]
    return PlannedVariant(
        variant=variant,
        fits=tuple(fits),
        misfits=tuple(misfits),
        unbuilt=tuple(unbuilt(variant.config)),
    )


def plan(variants: Sequence[Variant], seeds: Sequence[int], inventory: Inventory) -> Plan:
    """Fit every variant and simulate the scheduler over all runs that can run."""
    planned = tuple(fit_variant(variant, inventory) for variant in variants)
    keys: dict[str, tuple[str, str, int]] = {}
    jobs: list[Job] = []
    for row in planned:
        if row.refusal is None:
            for seed in seeds:
                key = (row.variant.group, row.variant.name, seed)
                keys["/".join(map(str, key))] = key
                jobs.append(Job(run_id="/".join(map(str, key)), fits=row.fits))
    intervals = simulate(jobs, inventory.capacity())
    return Plan(
        inventory=inventory,
        variants=planned,
        intervals={keys[interval.placement.run_id]: interval for interval in intervals},
    )


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values."""
    return {
        "inventory": asdict(plan.inventory),
        "makespan_hours": plan.makespan_hours,
        "gpu_hours": plan.gpu_hours,
        "mixed_numerics": plan.mixed_numerics(),
        "runs": [
            {
                "group": group,
                "variant": variant,
                "seed": seed,
                "start_hours": interval.start,
                "end_hours": interval.end,
                "fit": asdict(interval.placement.fit),
            }
            for (group, variant, seed), interval in plan.intervals.items()
        ],
        "refused": [
            {"group": row.variant.group, "variant": row.variant.name, "reason": row.refusal}
            for row in plan.variants
            if row.refusal
        ],
    }
