"""Rows and groups of an imported suite: what of them is valid, and what they are compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.published.keys import BASELINES
from ntlbg_service.domain.published.reading import Reading
from ntlbg_service.domain.resolve import Layer, resolve


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A variant as it is made."""

    name: str
    place: str
    """Where the published file has it."""
    overrides: dict[str, Any]
    """Our dotted paths to values."""
    description: str = ""

    def variant(self) -> dict[str, Any]:
        """The variant's JSON."""
        described = {"description": self.description} if self.description else {}
        return {"name": self.name, **described, "overrides": self.overrides}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A group as it is made."""

    place: str
    """Where the published file has it."""
    rows: tuple[PublishedRow, ...]
    description: str = ""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Common to all rows."""


def finish(
    reading: Reading, groups: Mapping[str, Rows], base: Sequence[Layer]
) -> dict[str, dict[str, Any]]:
    """The groups' JSON. A row that the main config does not allow is reported and left out."""
    finished: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        layers = [*base, Layer(reading.source, group.overrides)]
        rows: dict[str, PublishedRow] = {}
        for row in group.rows:
            if row.name in rows:
                reading.leave(row.place, f"the group has a variant '{row.name}' already")
            elif _valid(reading, row, layers):
                rows[row.name] = row
        if rows:
            finished[name] = _group(reading, group, list(rows.values()))
    return finished


def _valid(reading: Reading, row: PublishedRow, layers: Sequence[Layer]) -> bool:
    try:
        resolve([*layers, Layer(reading.source, row.overrides)])
    except UserError as error:
        why = str(error).removeprefix(f"{reading.source}: ")
        reading.leave(row.place, f"'{row.name}' is left out: {why}")
        return False
    return True


def _group(reading: Reading, group: Rows, rows: Sequence[PublishedRow]) -> dict[str, Any]:
    baseline = choose_baseline([row.name for row in rows])
    reading.decide(group.place, f"the file names no baseline: all are compared with '{baseline}'")
    common = {"overrides": group.overrides} if group.overrides else {}
    return {
        "description": group.description,
        "baseline": baseline,
        **common,
        "variants": [row.variant() for row in rows],
    }


def choose_baseline(names: Sequence[str]) -> str:
    """The first name that says it is the plain one, else the first."""
    for start in BASELINES:
        for name in names:
            if name == start or (start.endswith("_") and name.startswith(start)):
                return name
    return names[0]
