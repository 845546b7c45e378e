"""Sampling thread: it replaces each snapshot as a whole, and its waits block no other thread."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.fitting.calibration import Peak
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.stats import LedgerStats
from ntlbg_service.monitoring.snapshot import HealthCheck, Ratio, Snapshot, asked, gpus_of
from ntlbg_service.results.peak_memory import read_peaks
from ntlbg_service.storage.local import Storage

EVERY_SECONDS = 10.0
PEAKS_SECONDS = 300.0
"""Interval at which peaks are read: they change only when a training ends."""


@dataclass
class Sampler:
    """Sampler that takes a snapshot every few seconds until it is stopped."""

    ledger: Ledger
    storage: Storage
    nodes: Callable[[], Sequence[Node]]
    asks: Mapping[str, HealthCheck]
    """Health checks by name, except that of the database."""
    clock: Callable[[], float] = time.monotonic
    every: float = EVERY_SECONDS
    newest: Snapshot | None = field(default=None, init=False)
    """Latest snapshot; None before the first one."""
    _ratios: Mapping[str, Ratio] = field(default_factory=dict, init=False)
    _ratios_at: float | None = field(default=None, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)

    def start(self) -> None:
        """Start sampling, in a daemon thread."""
        threading.Thread(target=self._look_on, name="monitoring", daemon=True).start()

    def stop(self) -> None:
        """Stop sampling after the snapshot in progress."""
        self._stopped.set()

    def look(self) -> None:
        """Take one snapshot."""
        began = self.clock()
        figures, trouble = self._figures()
        troubles = {"database": trouble, **asked(self.asks)}
        seen = gpus_of(self.nodes(), figures.held, figures.drained) if figures else {}
        if figures is not None:
            self._read_ratios(began)
        self.newest = Snapshot(
            taken_at=began, troubles=troubles, figures=figures, gpus=seen, ratios=self._ratios
        )

    def _look_on(self) -> None:
        while not self._stopped.is_set():
            try:
                self.look()
            # No error may end this thread or the controller; the port shows it.
            except Exception as error:
                words = f"{type(error).__name__}: {error}"
                self.newest = Snapshot(taken_at=self.clock(), troubles={"monitoring": words})
            self._stopped.wait(self.every)

    def _figures(self) -> tuple[LedgerStats | None, str]:
        try:
            return self.ledger.figures(), ""
        except InfrastructureError as error:
            return None, str(error)

    def _read_ratios(self, now: float) -> None:
        if self._ratios_at is not None and now - self._ratios_at < PEAKS_SECONDS:
            return
        self._ratios_at = now
        peaks = read_peaks(self.ledger, self.storage)
        self._ratios = {profile: ratio_of(rows) for profile, rows in peaks.items() if rows}


def ratio_of(peaks: Sequence[Peak]) -> Ratio:
    """Return predicted over measured memory of one kind, without any later calibration."""
    ratios = [1 / peak.ratio for peak in peaks]
    return Ratio(median=median(ratios), least=min(ratios), count=len(ratios))
