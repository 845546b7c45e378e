"""How much disk checkpoints will take: predicted from what a config trains."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ntlbg_model.config import Config
from ntlbg_model.footprint.closed_form import weights_of
from ntlbg_service.domain.planning.plan import Plan
from ntlbg_service.domain.retention import KEPT

GIB = 1024**3
WIDE = 4
"""Bytes of a trained weight as it is saved."""
MOMENTS: dict[str, int] = {"adamw": 8, "adamw_8bit": 2}
"""Bytes of the optimizer's state for a trained weight."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """Checkpoints of runs, GiB."""

    largest: float
    """One checkpoint of the run with the largest."""
    written: float
    """All that are ever written."""
    kept: float
    """Those that `ntlbg gc` leaves: the newest and the best."""


def checkpoint_gib(config: Config) -> float:
    """One checkpoint: what is trained with its optimizer; in full tuning the whole model."""
    if config.training.max_steps == 0:
        return 0.0
    weights = weights_of(config)
    trained = weights.trained_base + weights.trained_added
    saved = trained + (weights.frozen if weights.trained_base else 0.0)
    return (WIDE * saved + MOMENTS[config.training.optimizer] * trained) / GIB


def checkpoints_of(config: Config) -> int:
    """How many a run writes: every `save_steps`, and at its end."""
    return math.ceil(config.training.max_steps / config.training.save_steps)


def disk_of(runs: Iterable[tuple[Config, int]]) -> Disk:
    """Of configs, each with its number of runs."""
    rows = [(checkpoint_gib(config), checkpoints_of(config), many) for config, many in runs]
    return Disk(
        largest=max((size for size, _, _ in rows), default=0.0),
        written=sum(size * number * many for size, number, many in rows),
        kept=sum(size * min(number, KEPT + 1) * many for size, number, many in rows),
    )


def disk_of_plan(plan: Plan) -> Disk:
    """Of the runs that a plan has a place for."""
    many = Counter((group, variant) for group, variant, _ in plan.intervals)
    return disk_of(
        (row.variant.config, many[row.variant.group, row.variant.name]) for row in plan.variants
    )
