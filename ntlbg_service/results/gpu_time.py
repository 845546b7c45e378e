"""GPU-hours of a home: intervals of attempts from the ledger, checkpoints from storage."""

from collections.abc import Sequence
from dataclasses import replace

from ntlbg_service.domain.launch import CheckpointMarker
from ntlbg_service.domain.states import RunState
from ntlbg_service.domain.usage import AttemptInterval
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt
from ntlbg_service.results.attempts import newest_checkpoint
from ntlbg_service.storage.local import Storage, StorageUnavailableError


def read_attempt_intervals(
    ledger: Ledger, storage: Storage, since: float | None = None
) -> list[AttemptInterval]:
    """Return the attempts that had not ended before `since`.

    Those of queued runs come with the checkpoints that the runs would resume from.
    """
    attempt_intervals = ledger.attempt_intervals(since)
    waiting = {spell.run_id for spell in attempt_intervals if spell.run_state is RunState.QUEUED}
    attempts = ledger.attempts_by_run(sorted(waiting))
    markers = {run_id: _newest(storage, each) for run_id, each in attempts.items()}
    kept = {(run_id, marker.attempt): marker.step for run_id, marker in markers.items() if marker}
    return [
        replace(spell, kept=kept.get((spell.run_id, spell.number))) for spell in attempt_intervals
    ]


def _newest(storage: Storage, attempts: Sequence[Attempt]) -> CheckpointMarker | None:
    """Return the newest checkpoint of a run; None also if this account cannot read it."""
    try:
        return newest_checkpoint(storage, attempts)
    except StorageUnavailableError:
        return None
