"""What every category of video length needs on every kind of device."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Step
from ntlbg_service.domain.fitting.candidates import choose_attention, choose_precision
from ntlbg_service.domain.fitting.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fitting.fit import BAND, SAFETY, Fit, Misfit, fit
from ntlbg_service.domain.hardware.profiles import PROFILES, NodeShape, Profile

NODE = NodeShape(cores=96, host_memory_gib=768, gpus=8)
"""A node as a table assumes it."""
PAIRINGS = (
    ("moderate_long", "V100-32GB", 2),
    ("long", "A100-40GB", 1),
    ("very_long", "A100-80GB", 1),
)
"""Category, kind and micro-batch as published."""
Tuning = Literal["lora", "full"]
TUNINGS: tuple[Tuning, ...] = ("lora", "full")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One category, tuned in one way, on one kind of device."""

    category: str
    tuning: Tuning
    profile: Profile
    found: Fit | Misfit


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """A published pairing at its micro-batch on one device, without DeepSpeed."""

    category: str
    tuning: Tuning
    profile: Profile
    micro_batch: int
    needed_gib: float
    limit_gib: float
    found: Fit | Misfit
    """What the fit makes of it, with other settings."""


def cells(
    categories: Mapping[str, Config],
    estimates: Estimates = CLOSED_FORM,
    kinds: Sequence[Profile] = (),
) -> list[Cell]:
    """Every category on every GPU, built in or of `kinds`."""
    return [
        Cell(
            category=name,
            tuning=tuning,
            profile=profile,
            found=fit(tuned(config, tuning), profile, NODE, estimates=estimates),
        )
        for name, config in categories.items()
        for tuning in TUNINGS
        for profile in (*PROFILES.values(), *kinds)
        if not profile.is_cpu
    ]


def pairings(categories: Mapping[str, Config], estimates: Estimates = CLOSED_FORM) -> list[Pairing]:
    """The published pairings of those `categories` that are there."""
    return [
        _pairing(name, categories[name], tuning, PROFILES[kind], batch, estimates)
        for name, kind, batch in PAIRINGS
        for tuning in TUNINGS
        if name in categories
    ]


@dataclass(frozen=True, kw_only=True)
class TraceComparison:
    """The closed form beside a trace of the very same step."""

    cell: Cell
    closed_gib: float
    traced_gib: float

    @property
    def difference(self) -> float:
        """How far the closed form is above the trace, as a share of the trace."""
        return self.closed_gib / self.traced_gib - 1


def comparisons(
    categories: Mapping[str, Config], found: Iterable[Cell], estimates: Estimates, *, every: bool
) -> Iterator[TraceComparison]:
    """Each fit's step in closed form and traced: those near their limit, or `every` one.

    A cell is left out where there is no tracer for it.
    """
    for cell in found:
        if not isinstance(cell.found, Fit):
            continue
        config, step = tuned(categories[cell.category], cell.tuning), cell.found.step
        closed = estimates.footprint(config, step, CONTEXT_GIB).total
        near = cell.found.traced or closed > (1 - BAND) * cell.found.limit_gib
        traced = estimates.trace(config, step, CONTEXT_GIB) if near or every else None
        if traced is not None:
            yield TraceComparison(cell=cell, closed_gib=closed, traced_gib=traced.total)


def tuned(config: Config, tuning: Tuning) -> Config:
    """The config with another tuning method."""
    return replace(config, model=replace(config.model, tuning=tuning))


def _pairing(
    name: str,
    config: Config,
    tuning: Tuning,
    profile: Profile,
    batch: int,
    estimates: Estimates,
) -> Pairing:
    asked = tuned(config, tuning)
    step = Step(
        precision=choose_precision(asked, profile),
        attention=choose_attention(asked, profile),
        micro_batch=batch,
        accumulation=max(1, asked.training.global_batch // batch),
    )
    return Pairing(
        category=name,
        tuning=tuning,
        profile=profile,
        micro_batch=batch,
        needed_gib=estimates.footprint(asked, step, CONTEXT_GIB)
        .scaled(estimates.calibration(profile.name).factor)
        .total,
        limit_gib=SAFETY * profile.usable_gib,
        found=fit(asked, profile, NODE, estimates=estimates),
    )
