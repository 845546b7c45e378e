"""The suite file: groups of named variants on one base config."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ntlbg_model.config import STRICT, Metric
from ntlbg_model.names import flaw_of_file_name, flaw_of_name
from ntlbg_service.domain.counts import check_count
from ntlbg_service.domain.hardware.profile import Profile


@dataclass(frozen=True, kw_only=True)
class VariantSpec:
    """One named row of a group."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """Unique within the group."""
    description: str = ""
    """Shown in reports."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Dotted paths to values."""
    scales: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further overrides for a named scale, for example how many frames 'rep_256' keeps of a
    short video."""


@dataclass(frozen=True, kw_only=True)
class GroupSpec:
    """Variants that are compared with each other."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    baseline: str
    """The variant that all others are tested against; declared before anything runs."""
    variants: tuple[VariantSpec, ...]
    """At least one."""
    description: str = ""
    """The question the group answers."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Overrides common to the group."""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names:
            raise ValueError("variants must not be empty")
        for name in names:
            check_name("variants", name, flaw_of_name)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"variants name {repeated[0]!r} twice")
        if self.baseline not in names:
            near = difflib.get_close_matches(self.baseline, names, n=1, cutoff=0.0)
            raise ValueError(
                f"baseline {self.baseline!r} is not a variant; did you mean '{near[0]}'?"
            )


@dataclass(frozen=True, kw_only=True)
class SuiteSpec:
    """A suite file."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """Identifies the suite in ledger, MLflow and reports."""
    config: str
    """The base config, relative to this file."""
    groups: dict[str, GroupSpec]
    """Groups by name."""
    description: str = ""
    """Shown in reports."""
    category: str | None = None
    """A category of the base config (moderate_long, long, very_long)."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Overrides common to every variant."""
    scales: dict[str, str] = field(default_factory=dict)
    """Named scales: a JSON file of overrides each, relative to this file (`--scale laptop`)."""
    scale: str | None = None
    """The scale used where none is asked for; null: the base config as it is."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of every variant."""
    primary_metric: Metric = "accuracy"
    """What the groups are judged by: intervals, tests and findings are about it."""
    max_hours: float | None = None
    """Hours that each run may be on devices, all its attempts together; null: as long as it
    takes."""
    share_gpus: bool = False
    """Its small runs may share a GPU with others that agree: each is fitted to a part of the
    card."""

    def __post_init__(self) -> None:
        if not self.groups:
            raise ValueError("groups must not be empty")
        check_name("name", self.name, flaw_of_file_name)
        for group in self.groups:
            check_name("groups", group, flaw_of_name)
        for scale in self.scales:
            check_name("scales", scale, flaw_of_file_name)
        _check_seeds(self.seeds)
        check_hours(self.max_hours)
        if self.scale is not None:
            self._check_scale("scale", self.scale)
        for group, spec in self.groups.items():
            for row in spec.variants:
                for scale in row.scales:
                    self._check_scale(f"groups.{group}.variants.{row.name}.scales", scale)

    def _check_scale(self, place: str, scale: str) -> None:
        if scale not in self.scales:
            valid = ", ".join(self.scales) or "none"
            raise ValueError(f"{place} names {scale!r}, no scale of the suite; valid: {valid}")


def check_name(place: str, name: str, flaw_of: Callable[[str], str | None]) -> None:
    """Raise ValueError for a name that paths or lines of text cannot be made of."""
    flaw = flaw_of(name)
    if flaw is not None:
        raise ValueError(f"{place} {flaw}, got {name[:40]!r}")


def check_hours(hours: float | None) -> None:
    """Raise ValueError for a limit within which nothing could run."""
    if hours is not None and not hours > 0:
        raise ValueError(f"max_hours must be above 0, got {hours:g}")


def _check_seeds(seeds: Sequence[int]) -> None:
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be distinct and at least one, got {list(seeds)}")
    for seed in seeds:
        check_count("seeds", seed)


@dataclass(frozen=True, kw_only=True)
class ScaleSpec:
    """A scale file: what makes a suite of a size."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    description: str = ""
    """What the scale is for."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Dotted paths to values."""
    seeds: tuple[int, ...] | None = None
    """Seeds in place of the suite's."""

    def __post_init__(self) -> None:
        if self.seeds is not None:
            _check_seeds(self.seeds)


@dataclass(frozen=True, kw_only=True)
class CategorySpec:
    """A category of video length in a main config."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    description: str
    """Length of the videos and the card it was meant for."""
    overrides: dict[str, Any]
    """Dotted paths to values."""


@dataclass(frozen=True, kw_only=True)
class SuiteFiles:
    """A suite with the files it refers to, as loaded. The input of `expand`."""

    source: str
    """The suite file as shown in errors."""
    suite: SuiteSpec
    base_source: str
    base: Mapping[str, Any]
    """Sections of the base config."""
    categories: Mapping[str, CategorySpec] = field(default_factory=dict)
    scale: str | None = None
    scale_source: str = ""
    scale_spec: ScaleSpec | None = None
    kinds: tuple[Profile, ...] = ()
    """GPU kinds that `hardware.profile` may name beside those built in."""

    @property
    def key(self) -> str:
        """Identity of the suite at its scale."""
        return f"{self.suite.name}@{self.scale}" if self.scale else self.suite.name

    @property
    def seeds(self) -> tuple[int, ...]:
        """The scale's seeds, else the suite's."""
        scaled = self.scale_spec.seeds if self.scale_spec else None
        return scaled or self.suite.seeds
