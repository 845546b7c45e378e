"""What measured peaks teach about predictions on one kind of device. Pure.

A factor above 1 makes fits smaller, below 1 larger, and only the second can put a run where it does
not fit. So a peak above its prediction counts in full and at once; peaks below count little, after
several different shapes, and never far. Seeds of one shape are one piece of evidence.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, isclose
from statistics import median

from ntlbg_model.footprint.items import DEVICE_ITEMS, MOVING
from ntlbg_service.domain.fitting.estimates import Calibration
from ntlbg_service.domain.fitting.fit import Fit

FLOOR = 0.9
"""The least factor: no run is predicted with less than nine tenths of what moves."""
CEILING = 2.0
"""The largest factor. A prediction that is off by more is a fault to look for, not to scale."""
QUANTILE = 0.9
"""Of the shapes' factors, what is taken: the largest of fewer than ten."""
HALF_WAY = 4
"""Shapes after which half of what peaks lie below their predictions is believed."""
LEAST_SHARE = 0.25
"""Of a prediction, what at least counts as moving where the peak lies below it: a small part that
moves is not blamed for an error of the whole."""


@dataclass(frozen=True, kw_only=True)
class Peak:
    """One attempt: what was predicted, without any calibration, and what was measured."""

    standing_gib: float
    """Predicted to stand through a step; no factor is on it."""
    moving_gib: float
    """Predicted to come and go within a step; the factor is on it."""
    measured_gib: float
    on_cpu: bool = False
    """Measured as resident set, of which a process has more than tensors."""
    ran_out: bool = False
    """It ended for want of memory, so it needed more than was measured."""

    @property
    def predicted_gib(self) -> float:
        """What would have been measured if the prediction were exact."""
        return self.standing_gib + self.moving_gib

    @property
    def ratio(self) -> float:
        """Measured / predicted."""
        return self.measured_gib / self.predicted_gib

    @property
    def factor(self) -> float:
        """On what moves, so that the prediction is the peak; bounded.

        Not below 1 on a CPU, where memory that was asked for but never touched is not resident, nor
        where memory ran out.
        """
        excess = self.measured_gib - self.predicted_gib
        if excess >= 0:
            return min(CEILING, 1 + excess / self.moving_gib) if self.moving_gib else 1.0
        if self.on_cpu or self.ran_out:
            return 1.0
        return max(FLOOR, 1 + excess / max(self.moving_gib, LEAST_SHARE * self.predicted_gib))


def peak_of(fit: Fit, measured_gib: float, *, ran_out: bool = False) -> Peak:
    """A fit beside the peak of an attempt with it, the fit's own calibration taken out.

    A GPU's peak is what was allocated, without context and reserve. A CPU's is the resident set:
    the process beside its tensors is as unsure as what moves and counts to it, and the vision cache
    stands, at its bound.
    """
    on_cpu = fit.profile == "cpu"
    moving = (*MOVING, "communication", *(("context",) if on_cpu else ()))
    run_status = (*(set(DEVICE_ITEMS) - set(moving)), *(("vision_cache",) if on_cpu else ()))
    return Peak(
        standing_gib=_sum(fit.memory, run_status),
        moving_gib=_sum(fit.memory, moving) / fit.calibration,
        measured_gib=measured_gib,
        on_cpu=on_cpu,
        ran_out=ran_out,
    )


def _sum(memory: Mapping[str, float], names: Iterable[str]) -> float:
    return sum(memory.get(name, 0.0) for name in sorted(names))


def by_shape(peaks: Iterable[Peak]) -> list[tuple[Peak, ...]]:
    """Peaks of equal predictions together."""
    shapes: list[list[Peak]] = []
    for peak in sorted(peaks, key=lambda peak: (round(peak.standing_gib, 3), peak.moving_gib)):
        if shapes and _alike(shapes[-1][0], peak):
            shapes[-1].append(peak)
        else:
            shapes.append([peak])
    return [tuple(alike) for alike in shapes]


def _alike(one: Peak, other: Peak) -> bool:
    """Fits keep three decimals of each item, and a factor that is divided out leaves dust."""
    return isclose(one.standing_gib, other.standing_gib, abs_tol=0.001) and isclose(
        one.moving_gib, other.moving_gib, rel_tol=0.005, abs_tol=0.003
    )


def calibrate(peaks: Iterable[Peak]) -> Calibration:
    """What the peaks of one profile say, in whatever order they come."""
    known = list(peaks)
    if not known:
        return Calibration()
    factors = sorted(max(peak.factor for peak in alike) for alike in by_shape(known))
    upper = factors[ceil(QUANTILE * len(factors)) - 1]
    ratios = [peak.ratio for peak in known]
    return Calibration(
        factor=upper if upper >= 1 else 1 - (1 - upper) * len(factors) / (len(factors) + HALF_WAY),
        runs=len(known),
        shapes=len(factors),
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
    )


def said(profile: str, calibration: Calibration) -> str:
    """'cpu: measured 0.97 of predicted in 12 runs (0.94 to 1.02); what moves counts x 1.05'."""
    if calibration.ratio is None:
        return f"{profile}: nothing measured yet"
    runs = f"{calibration.runs} run{'s'[: calibration.runs > 1]}"
    if calibration.lowest < calibration.highest:
        runs += f" ({calibration.lowest:.2f} to {calibration.highest:.2f})"
    counts = "as predicted" if calibration.factor == 1 else f"x {calibration.factor:.2f}"
    return (
        f"{profile}: measured {calibration.ratio:.2f} of predicted in {runs}; "
        f"what moves counts {counts}"
    )
