"""Measured memory peaks of ended attempts with their fits, which calibrate predictions."""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ntlbg_service.domain.fitting.calibration import Peak, calibrate, peak_of
from ntlbg_service.domain.fitting.estimates import Calibration
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.process.workspace import Workspace

if TYPE_CHECKING:
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.ledger.records import Attempt
    from ntlbg_service.storage.local import Storage

MOST = 1000
"""Number of newest attempts that are read; older ones ran on other code and machines."""


def read_calibrations(workspace: Workspace) -> Mapping[str, Calibration]:
    """Return the calibrations of a home by profile; empty if nothing ran. Creates no ledger."""
    return {profile: calibrate(peaks) for profile, peaks in read_home(workspace).items()}


def read_home(workspace: Workspace) -> Mapping[str, tuple[Peak, ...]]:
    """Return the measured peaks of a home by profile. Raises InfrastructureError."""
    if not workspace.ledger_exists:
        return {}
    import time

    from ntlbg_service.ledger.database import open_database
    from ntlbg_service.ledger.ledger import Ledger
    from ntlbg_service.storage.local import LocalStorage

    ledger = Ledger(open_database(workspace.ledger_url), time.time)
    return read_peaks(ledger, LocalStorage(workspace.storage))


def read_peaks(ledger: "Ledger", storage: "Storage") -> Mapping[str, tuple[Peak, ...]]:
    """Return peaks of trainings that finished or ran out of memory, by profile, newest first."""
    found: dict[str, list[Peak]] = defaultdict(list)
    for attempt in ledger.trained_attempts(MOST):
        mib = _peak_mib(storage, attempt)
        if not mib:
            continue
        short = attempt.state is not AttemptState.FINISHED
        peak = peak_of(attempt.fit, mib / 1024, ran_out=short)
        found[attempt.fit.profile].append(peak)
    return {profile: tuple(peaks) for profile, peaks in sorted(found.items())}


def _peak_mib(storage: "Storage", attempt: "Attempt") -> float | None:
    """Return the attempt's measured peak from the ledger, else from its exit record.

    Ledgers have no measurements of attempts that ended before they began to record them.
    """
    from ntlbg_service.ledger.records import Measured
    from ntlbg_service.results.attempts import read_exit
    from ntlbg_service.storage.layout import AttemptKeys
    from ntlbg_service.storage.local import StorageUnavailableError

    if attempt.measured != Measured():
        return attempt.measured.peak_mib
    try:
        record = read_exit(storage, AttemptKeys(attempt.run_id, attempt.number))
    except StorageUnavailableError:  # An unreadable record is left out.
        return None
    return record.peak_memory_mib if record else None
