"""The report as one HTML file that needs nothing else: no script, no request, no second file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from ntlbg_service.domain.control_characters import neutral
from ntlbg_service.report import plots, wording
from ntlbg_service.report.comparison import SIGNIFICANCE, Comparison, GroupComparison
from ntlbg_service.report.figures import Plot
from ntlbg_service.report.strips import FrameStrip, strip_view


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the numbers come from."""

    written_at: datetime
    code_version: str
    machine: str
    """For example '2 cores, 24 GiB, no GPU'."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages that took part."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Anything else that a reader needs, for example the suite key and the data's identity."""


@dataclass(frozen=True, kw_only=True)
class _DatasetView:
    name: str
    finding: str
    warnings: list[str]
    plots: list[Plot]
    categories: list[str]


@dataclass(frozen=True, kw_only=True)
class _GroupView:
    group: GroupComparison
    datasets: list[_DatasetView]
    plots: list[Plot]


def render_report(
    comparison: Comparison, provenance: Provenance, strips: Sequence[FrameStrip] = ()
) -> str:
    """The whole report as HTML text."""
    environment = Environment(
        loader=PackageLoader("ntlbg_service.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        comparison=comparison,
        groups=[_group_view(group) for group in comparison.groups],
        strips=[strip_view(strip) for strip in strips],
        provenance=provenance,
        words=wording,
        significance=SIGNIFICANCE,
    )
    return neutral(page)


def _group_view(group: GroupComparison) -> _GroupView:
    return _GroupView(
        group=group,
        datasets=[_dataset_view(group, dataset) for dataset in group.datasets],
        plots=_drawn(plots.loss_plot(group), plots.memory_plot(group)),
    )


def _dataset_view(group: GroupComparison, dataset: str) -> _DatasetView:
    categories = {name for row in group.on(dataset) for name, _ in row.categories}
    return _DatasetView(
        name=dataset,
        finding=wording.finding(group, dataset),
        warnings=wording.warnings(group, dataset),
        plots=_drawn(plots.outcome_plot(group, dataset), plots.recall_plot(group, dataset)),
        categories=sorted(categories),
    )


def _drawn(*figures: Plot | None) -> list[Plot]:
    return [figure for figure in figures if figure is not None]
