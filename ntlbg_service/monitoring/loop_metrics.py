"""Metrics of a controller's loop, written by its thread and read by others.

Each is one reference that is replaced, or a metric with a short lock of its own, so no reader can
block the loop.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histograms' buckets, in seconds."""


class LoopMetrics:
    """Progress and timings of the loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self.beat_at = clock()
        """Time of the loop's last activity, by the monotonic clock."""
        self.leads = False
        self.renewed_at: float | None = None
        """Time at which the lease was last acquired or renewed; None where it does not lead."""
        self._steps = Histogram(
            "ntlbg_step_seconds",
            "A whole step of the controller: attempts looked at, runs placed, MLflow told.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._decisions = Histogram(
            "ntlbg_scheduling_seconds",
            "A scheduling cycle: queue and nodes read, starts decided.",
            buckets=SECONDS,
            registry=self.registry,
        )

    def beat(self) -> None:
        """Record activity of the loop."""
        self.beat_at = self.clock()

    def decided(self, seconds: float) -> None:
        """Record the duration of a scheduling cycle."""
        self._decisions.observe(seconds)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Measure one step of the loop."""
        self.beat()
        began = self.clock()
        try:
            yield
        finally:
            self._steps.observe(self.clock() - began)
            self.beat()
