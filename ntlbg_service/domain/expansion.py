"""A suite's variants, chosen and resolved: every one a config of its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ntlbg_model.config import Config
from ntlbg_service.domain.errors import UserError, nearest
from ntlbg_service.domain.resolve import Layer, resolve
from ntlbg_service.domain.suite import GroupSpec, SuiteFiles, VariantSpec


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
    resolved = resolve(variant_layers(files, group, row), files.kinds)
    return Variant(
        group=group,
        name=row.name,
        description=row.description,
        baseline=row.name == spec.baseline,
        config=resolved.config,
        provenance=resolved.provenance,
    )


def variant_layers(files: SuiteFiles, group: str, row: VariantSpec) -> list[Layer]:
    """Return all layers of a variant: base config, category, suite, scale, group and its own."""
    return [*base_layers(files), *_own_layers(files, group, row)]


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


def _own_layers(files: SuiteFiles, group: str, row: VariantSpec) -> list[Layer]:
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
