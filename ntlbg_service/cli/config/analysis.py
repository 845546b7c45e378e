"""All that `ntlbg config analyze` finds, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ntlbg_model.config import Config
from ntlbg_service.cli.console import DataConsole
from ntlbg_service.domain.fitting.analysis import (
    Cell,
    Pairing,
    TraceComparison,
    cells,
    comparisons,
    pairings,
)
from ntlbg_service.domain.fitting.estimates import Calibration
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.fitting.known_plans import KnownCell, known_cells
from ntlbg_service.domain.hardware.profile import Profile
from ntlbg_service.estimates.trace_cache import open_estimates
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.peak_memory import read_calibrations


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The tables, before they are printed."""

    cells: list[Cell]
    compared: list[TraceComparison]
    """Closed form and trace; empty without `--trace`."""
    pairings: list[Pairing]
    plans: list[KnownCell]
    learned: Mapping[str, Calibration]
    """What measured peaks say, by profile."""


def analyse(
    categories: Mapping[str, Config],
    workspace: Workspace,
    trace: str | None,
    kinds: Sequence[Profile],
) -> Analysis:
    """Fit all categories; `trace` is 'near' or 'all', None for the closed form alone."""
    learned = read_calibrations(workspace)
    estimates = open_estimates(workspace.home, trace=trace is not None, learned=learned)
    with DataConsole(stderr=True).status("fitting, with traces where they are asked for"):
        found = cells(categories, estimates, kinds)
        every = trace == "all"
        compared = list(comparisons(categories, found, estimates, every=every)) if trace else []
    return Analysis(
        cells=found,
        compared=compared,
        pairings=pairings(categories, estimates),
        plans=known_cells(categories),
        learned=learned,
    )


def to_json(found: Analysis) -> dict[str, Any]:
    """Every number of the tables."""
    return {
        "cells": [_cell(cell) for cell in found.cells],
        "traced": [
            {
                "category": row.cell.category,
                "tuning": row.cell.tuning,
                "gpu": row.cell.profile.name,
                "closed_gib": round(row.closed_gib, 3),
                "traced_gib": round(row.traced_gib, 3),
                "difference": round(row.difference, 5),
            }
            for row in found.compared
        ],
        "pairings": [
            {
                "category": pair.category,
                "tuning": pair.tuning,
                "gpu": pair.profile.name,
                "micro_batch": pair.micro_batch,
                "needed_gib": round(pair.needed_gib, 3),
                "limit_gib": round(pair.limit_gib, 3),
                "fits": pair.needed_gib <= pair.limit_gib,
            }
            for pair in found.pairings
        ],
        "calibrations": {profile: asdict(one) for profile, one in found.learned.items()},
        "plans": [asdict(cell) | {"fits": cell.fits} for cell in found.plans],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    fits = isinstance(cell.found, Fit)
    return {
        "category": cell.category,
        "tuning": cell.tuning,
        "gpu": cell.profile.name,
        "fits": fits,
        ("fit" if fits else "misfit"): asdict(cell.found),
    }
