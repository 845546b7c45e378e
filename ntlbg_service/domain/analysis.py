"""What every category of video length needs on every kind of device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ntlbg_model.config import Config
from ntlbg_model.footprint import CONTEXT_GIB, Step
from ntlbg_service.domain.candidates import choose_attention, choose_precision
from ntlbg_service.domain.estimates import CLOSED_FORM, Estimates
from ntlbg_service.domain.fit import SAFETY, Fit, Misfit, fit
from ntlbg_service.domain.profiles import PROFILES, NodeShape, Profile

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
        needed_gib=estimates.footprint(asked, step, CONTEXT_GIB).total,
        limit_gib=SAFETY * profile.usable_gib,
        found=fit(asked, profile, NODE, estimates=estimates),
    )
