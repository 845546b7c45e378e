"""Signs of life of a controller's loop: one thread leaves them, others read them.

Each is one reference that is replaced, or a metric that locks itself for a moment, so nobody who
reads them can hold up the loop.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histograms."""


class LoopMetrics:
    """What the loop has done so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.registry = CollectorRegistry()
        self.beat_at = clock()
        """When the loop did anything last, by the monotonic clock."""
        self.leads = False
        self.renewed_at: float | None = None
        """When the lease was taken or renewed last, where this one leads."""
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
        """The loop goes on."""
        self.beat_at = self.clock()

    def decided(self, seconds: float) -> None:
        """A scheduling cycle took so long."""
        self._decisions.observe(seconds)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around one step of the loop."""
        self.beat()
        began = self.clock()
        try:
            yield
        finally:
            self._steps.observe(self.clock() - began)
            self.beat()
