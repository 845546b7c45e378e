"""What a fit asks about memory: predictions, and how far they were off on a kind of device."""

from dataclasses import dataclass
from typing import Protocol

from ntlbg_model.config import Config
from ntlbg_model.footprint import Footprint, Step, run_footprint


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What measured peaks say of predictions on a profile."""

    factor: float = 1.0
    """On what moves during a step; on a CPU, on the process beside its tensors too."""
    runs: int = 0
    """How many runs it was learned from."""
    shapes: int = 0
    """How many different predictions those runs had."""
    ratio: float | None = None
    """Median of measured / predicted; None where nothing was measured."""
    lowest: float = 1.0
    """Of measured / predicted."""
    highest: float = 1.0


class Estimates(Protocol):
    """Where predictions come from."""

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        """The closed form."""

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        """A trace of the whole step; None where no tracer is at hand."""

    def calibration(self, profile: str) -> Calibration:
        """What was learned on a profile."""


class _ClosedForm:
    """Never traces, has measured nothing."""

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return run_footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        return None

    def calibration(self, profile: str) -> Calibration:
        return Calibration()


CLOSED_FORM: Estimates = _ClosedForm()
