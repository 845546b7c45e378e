"""A sweep: a variant and the points around it that are tried."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ntlbg_model.config import STRICT, Metric
from ntlbg_model.names import flaw_of_file_name
from ntlbg_service.domain.counts import check_count
from ntlbg_service.domain.suite import check_hours, check_name

MOST_TRIALS = 10_000
"""Each is fitted before the sweep is queued."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Values of one option: exactly one of `values` and the two bounds."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    values: tuple[Any, ...] = ()
    """All of them are tried (grid)."""
    low: float | None = None
    """Lower bound of a random draw."""
    high: float | None = None
    """Upper bound of a random draw."""
    scale: Literal["linear", "log"] = "linear"
    """Scale on which the draw is uniform."""

    def __post_init__(self) -> None:
        bounded = self.low is not None and self.high is not None
        if bool(self.values) == bounded or (self.low is None) != (self.high is None):
            raise ValueError("values must stand alone, or low and high together without it")
        if self.low is not None and self.high is not None:
            if self.low >= self.high:
                raise ValueError(f"low must be below high ({self.high}), got {self.low}")
            if self.scale == "log" and self.low <= 0:
                raise ValueError(f"low must be above 0 on a log scale, got {self.low}")

    def draw(self, random_source: random.Random) -> Any:
        """One random value between the bounds."""
        assert self.low is not None and self.high is not None
        if self.scale == "log":
            return math.exp(random_source.uniform(math.log(self.low), math.log(self.high)))
        return random_source.uniform(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class SweepSpec:
    """A sweep file."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """Identifies the sweep in ledger, MLflow and reports."""
    suite: str
    """The suite file whose variant is swept, relative to this file."""
    variant: str
    """The variant that every trial starts from."""
    space: dict[str, Axis]
    """Dotted path to the values tried."""
    scale: str | None = None
    """Scale of the suite."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Common to all trials."""
    samples: int = 1
    """Random draws for each grid point."""
    seed: int = 1
    """Of the draws and of every trial's training."""
    metric: Metric = "accuracy"
    """What the best trial is best in."""
    concurrency: int = 1
    """Trials at once."""
    max_hours: float | None = None
    """Hours that the sweep as a whole may be on devices; null: as long as it takes."""
    description: str = ""

    def __post_init__(self) -> None:
        if not self.space:
            raise ValueError("space must name at least one option")
        check_name("name", self.name, flaw_of_file_name)
        check_hours(self.max_hours)
        for name in ("samples", "concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_count("seed", self.seed)
        trials = self.samples * math.prod(len(axis.values) or 1 for axis in self.space.values())
        if trials > MOST_TRIALS:
            raise ValueError(f"space has {trials} trials, more than {MOST_TRIALS}")

    def points(self) -> Iterator[dict[str, Any]]:
        """Every trial's changes: the grid, with fresh random draws at each of its points."""
        source = random.Random(self.seed)  # nosec B311 # draws of an experiment
        grid = {path: axis.values for path, axis in self.space.items() if axis.values}
        drawn = {path: axis for path, axis in self.space.items() if not axis.values}
        for combination in itertools.product(*grid.values()):
            for _ in range(self.samples):
                point = dict(zip(grid, combination, strict=True))
                yield point | {path: axis.draw(source) for path, axis in drawn.items()}
