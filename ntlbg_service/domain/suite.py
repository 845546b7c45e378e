"""The suite file: groups of named variants on one base config, and its expansion into runs."""

import difflib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from ntlbg_model.config import STRICT, Config, Metric
from ntlbg_model.names import flaw_of_file_name, flaw_of_name
from ntlbg_service.domain.counts import check_count
from ntlbg_service.domain.errors import UserError, nearest
from ntlbg_service.domain.profile import Profile
from ntlbg_service.domain.resolve import Layer, resolve


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
    """What the groups are judged by."""
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


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A row of a group, resolved and validated."""

    group: str
    name: str
    description: str
    baseline: bool
    config: Config
    provenance: Mapping[str, str]


def expand(
    files: SuiteFiles, groups: Sequence[str] = (), variants: Sequence[str] = ()
) -> tuple[Variant, ...]:
    """Every chosen variant of a suite, in the order of the file.

    With `variants`, only those and the baseline of their group, which a comparison needs.
    Raises UserError for a bad override (naming its place) or an unknown group or variant.
    """
    known_groups = files.suite.groups
    for group in groups:
        _known("group", group, known_groups, files.source)
    chosen = {name: spec for name, spec in known_groups.items() if not groups or name in groups}
    names = [row.name for spec in chosen.values() for row in spec.variants]
    for variant in variants:
        _known("variant", variant, names, files.source)
    return tuple(
        _variant(files, group, row)
        for group, spec in chosen.items()
        for row in spec.variants
        if _chosen(row.name, spec, variants)
    )


def _chosen(name: str, spec: GroupSpec, variants: Sequence[str]) -> bool:
    if not variants or name in variants:
        return True
    return name == spec.baseline and any(row.name in variants for row in spec.variants)


def pick(files: SuiteFiles, experiment: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Groups and variants meant by `--experiment`, as in the published commands.

    It names a group or a variant, with or without the suite's first word in front:
    `ablation_ntlbg_constraint` is group `ntlbg_constraint` of `ablation_studies`.
    """
    suite = files.suite
    short = experiment.removeprefix(suite.name.split("_")[0] + "_")
    names = [row.name for spec in suite.groups.values() for row in spec.variants]
    for candidate in (experiment, short):
        if candidate in suite.groups:
            return (candidate,), ()
        if candidate in names:
            return (), (candidate,)
    raise _unknown("group or variant", short, [*suite.groups, *names], files.source)


def _known(what: str, name: str, valid: Iterable[str], source: str) -> None:
    names = list(valid)
    if name not in names:
        raise _unknown(what, name, names, source)


def _unknown(what: str, name: str, valid: Sequence[str], source: str) -> UserError:
    return UserError(f"{source}: unknown {what} '{name}'; {nearest(name, valid)}")


def _variant(files: SuiteFiles, group: str, row: VariantSpec) -> Variant:
    spec = files.suite.groups[group]
    resolved = resolve([*base_layers(files), *_variant_layers(files, group, row)], files.kinds)
    return Variant(
        group=group,
        name=row.name,
        description=row.description,
        baseline=row.name == spec.baseline,
        config=resolved.config,
        provenance=resolved.provenance,
    )


def base_layers(files: SuiteFiles) -> list[Layer]:
    """Base config, category, suite and scale, in that order."""
    suite = files.suite
    layers = [Layer(files.base_source, files.base)]
    if suite.category is not None:
        _known("category", suite.category, files.categories, files.source)
        category = files.categories[suite.category]
        layers.append(Layer(f"{files.base_source} categories.{suite.category}", category.overrides))
    layers.append(Layer(f"{files.source} overrides", suite.overrides))
    if files.scale_spec is not None:
        layers.append(Layer(files.scale_source, files.scale_spec.overrides))
    return layers


def _variant_layers(files: SuiteFiles, group: str, row: VariantSpec) -> list[Layer]:
    place = f"{files.source} groups.{group}"
    layers = [
        Layer(f"{place}.overrides", files.suite.groups[group].overrides),
        Layer(f"{place}.variants.{row.name}", row.overrides),
    ]
    if files.scale in row.scales:
        layers.append(
            Layer(f"{place}.variants.{row.name}.scales.{files.scale}", row.scales[files.scale])
        )
    return layers


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What makes two runs the same run."""

    suite: str
    group: str
    variant: str
    config: str
    """Digest of the resolved config."""
    seed: int
    data: str
    """Digest of the annotations and video files."""
    code: str
    """Digest of the code that produces results."""
    repetition: int = 0
    """Counts `--again`."""

    @property
    def values(self) -> dict[str, Any]:
        """Its parts by name, as JSON values."""
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @cached_property
    def run_id(self) -> str:
        """Stable identifier of the run, 16 hex digits."""
        return digest(self.values)[:16]


def digest(value: Any) -> str:
    """SHA-256 of a JSON-shaped value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def config_digest(config: Config) -> str:
    """Digest of what a config makes a run learn and measure; where it may run is left out."""
    values = asdict(config)
    del values["hardware"]
    return digest(values)


def changes(old: Mapping[str, Any], new: Identity) -> list[str]:
    """Which parts of a run's identity differ: 'config', 'data', 'code'."""
    fresh = asdict(new)
    return [part for part in ("config", "data", "code") if old.get(part) != fresh[part]]
