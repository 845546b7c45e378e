"""Telling a person that traces are being made, which takes seconds each."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.status import Status

from ntlbg_model.config import Config
from ntlbg_model.footprint import Footprint, Step
from ntlbg_service.cli.console import DataConsole
from ntlbg_service.domain.expansion import Variant
from ntlbg_service.domain.fitting.estimates import Calibration, Estimates
from ntlbg_service.domain.planning.fitter import shape_of
from ntlbg_service.estimates.trace_cache import open_estimates
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.peak_memory import read_calibrations

NOTICED_SECONDS = 1.0
"""Traces that take less together are not worth a line: they were in the cache."""


@contextmanager
def telling(
    workspace: Workspace, variants: Sequence[Variant], *, trace: bool = True
) -> Iterator[Estimates]:
    """The home's estimates; says on stderr which shape is being traced, and what it took."""
    learned = read_calibrations(workspace)
    estimates = open_estimates(workspace.home, trace=trace, learned=learned)
    console = DataConsole(stderr=True)
    shapes = len({shape_of(variant.config) for variant in variants})
    if not (trace and console.is_terminal):
        told = _Told(estimates, shapes, None)
        yield told
    else:
        with console.status("fitting") as status:
            told = _Told(estimates, shapes, status)
            yield told
    if told.seconds > NOTICED_SECONDS:
        console.print(
            f"traced {len(told.seen)} configs for {shapes} shapes in {told.seconds:.0f} s; "
            f"they are kept in {workspace.home}",
            style="dim",
            highlight=False,
        )


@dataclass
class _Told:
    """Estimates that show what they are asked for."""

    estimates: Estimates
    shapes: int
    status: Status | None
    seen: set[Config] = field(default_factory=set)
    seconds: float = 0.0

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return self.estimates.footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        self.seen.add(config)
        if self.status is not None:
            self.status.update(f"tracing config {len(self.seen)} for {self.shapes} shapes")
        started = time.monotonic()
        try:
            return self.estimates.trace(config, step, context)
        finally:
            self.seconds += time.monotonic() - started

    def calibration(self, profile: str) -> Calibration:
        return self.estimates.calibration(profile)
