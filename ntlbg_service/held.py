"""GPU-hours of a home: what the ledger says of attempts, and what storage says of their work."""

from dataclasses import replace

from ntlbg_service.domain.states import RunState
from ntlbg_service.domain.usage import Spell
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.results import newest_checkpoint
from ntlbg_service.storage.local import Storage


def read_spells(ledger: Ledger, storage: Storage, since: float | None = None) -> list[Spell]:
    """Attempts that had not ended before `since`; of runs that wait, with the checkpoints that
    they would go on from."""
    spells = ledger.spells(since)
    waiting = {spell.run_id for spell in spells if spell.run_state is RunState.QUEUED}
    attempts = ledger.attempts_by_run(sorted(waiting))
    markers = {run_id: newest_checkpoint(storage, each) for run_id, each in attempts.items()}
    kept = {(run_id, marker.attempt): marker.step for run_id, marker in markers.items() if marker}
    return [replace(spell, kept=kept.get((spell.run_id, spell.number))) for spell in spells]
