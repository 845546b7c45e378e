"""Ablations, baselines and sizes of NTLBG of the published experiment files as groups."""

from collections.abc import Mapping, Sequence
from typing import Any

from ntlbg_service.domain.published.conversion import NEEDS_LEARNED, TERM, weighs
from ntlbg_service.domain.published.keys import LEARNED, METHODS, STRATEGIES
from ntlbg_service.domain.published.options import translate
from ntlbg_service.domain.published.reading import Reading
from ntlbg_service.domain.published.rows import PublishedRow, Rows

ALIGNED = 0.3
"""Weight of the alignment term where a variant asks for an alignment and gives no weight; what the
shipped ablation has."""


def ablations(reading: Reading, batch: tuple[int, int]) -> dict[str, Rows]:
    """A group for each of `ablation_experiments`."""
    groups: dict[str, Rows] = {}
    for group in reading.names("ablation_experiments"):
        place = f"ablation_experiments.{group}"
        rows = tuple(
            _ablation(reading, f"{place}.variants.{index}", f"variant_{index}", batch)
            for index in reading.names(f"{place}.variants")
        )
        if rows:
            description = reading.words(f"{place}.description")
            groups[group] = _learned(reading, Rows(place=place, description=description, rows=rows))
    return groups


def methods(reading: Reading, batch: tuple[int, int]) -> dict[str, Rows]:
    """Baselines and NTLBG's sizes are one group: they are compared with each other."""
    rows: list[PublishedRow] = []
    for key in reading.names("baseline_methods"):
        place = f"baseline_methods.{key}"
        if key in METHODS:
            rows.append(_method(reading, place, key, METHODS[key], batch))
        else:
            reading.leave(place, f"this method is not built; there are: {', '.join(METHODS)}")
    for key in reading.names("ntlbg_variants"):
        own = {"selection.method": "ntlbg"}
        rows.append(_method(reading, f"ntlbg_variants.{key}", key, own, batch))
    if not rows:
        return {}
    place = rows[0].place.split(".")[0]
    group = Rows(place=place, description="Published methods and NTLBG", rows=tuple(rows))
    return {"methods": _learned(reading, group)}


def _ablation(reading: Reading, place: str, fallback: str, batch: tuple[int, int]) -> PublishedRow:
    name = reading.words(f"{place}.name", fallback)
    description = reading.words(f"{place}.description")
    overrides = translate(reading, f"{place}.config_overrides.", batch)
    if overrides.get("model.feature_alignment", "none") != "none":
        overrides = _aligned(reading, place, overrides)
    return PublishedRow(name=name, place=place, description=description, overrides=overrides)


def _aligned(reading: Reading, place: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """An alignment is a part of a loss term, which then needs a weight."""
    term = f"{TERM}feature_alignment"
    if overrides.get(term):
        return overrides
    reading.decide(place, f"feature alignment needs a weight: {term} is {ALIGNED}")
    return {**overrides, term: ALIGNED}


def _method(
    reading: Reading, place: str, key: str, own: Mapping[str, Any], batch: tuple[int, int]
) -> PublishedRow:
    """A row is called by its key, which commands use; the published name describes it."""
    title = reading.words(f"{place}.name", key)
    description = reading.words(f"{place}.description", title)
    strategy = reading.take(f"{place}.config_overrides.data_config.frame_sampling_strategy")
    asked = translate(reading, f"{place}.config_overrides.", batch)
    if strategy is not None:
        asked["selection.method"] = STRATEGIES.get(str(strategy), strategy)
    for option, value in own.items():
        if asked.get(option, value) != value:
            reading.decide(place, f"{option} is {value!r} for '{key}', not {asked[option]!r}")
    return PublishedRow(name=key, place=place, description=description, overrides={**asked, **own})


def _learned(reading: Reading, group: Rows) -> Rows:
    """A loss term beside the task trains nothing unless the selection is learned."""
    weighing = [row for row in group.rows if weighs(row.overrides)]
    if not weighing:
        return group
    alike = {row.overrides.get("selection.method", "ntlbg") for row in group.rows} == {"ntlbg"}
    reading.decide(
        group.place,
        f"{NEEDS_LEARNED}, for {'all' if alike else _names(weighing)}",
    )
    if alike:
        return Rows(
            place=group.place,
            description=group.description,
            rows=group.rows,
            overrides=dict(LEARNED),
        )
    for row in weighing:
        row.overrides.update(LEARNED)
    return group


def _names(rows: Sequence[PublishedRow]) -> str:
    return ", ".join(row.name for row in rows)
