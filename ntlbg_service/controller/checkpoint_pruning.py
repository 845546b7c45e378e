"""Deletion of checkpoints that an active run no longer needs, as newer ones are committed."""

from dataclasses import dataclass, field

from ntlbg_service.controller.effects import Effects
from ntlbg_service.domain.launch import Work
from ntlbg_service.domain.retention import superfluous
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.results.attempt_outcome import keys_of
from ntlbg_service.results.attempts import checkpoints_by_value


@dataclass
class CheckpointPruner:
    """Pruner that rereads a run only after its attempt has committed another checkpoint."""

    effects: Effects
    keep: int | None
    """Number of newest checkpoints of a run to keep, in addition to the best; None keeps all."""
    _committed: dict[str, int] = field(default_factory=dict)

    def tidy(self, run: Run, attempt: Attempt) -> None:
        """Delete the superfluous checkpoints of a run whose newest attempt is `attempt`.

        The checkpoint that the attempt resumes from is kept: its process may be about to read it.
        """
        if self.keep is None or run.work is not Work.TRAIN:
            return
        keys = keys_of(attempt)
        committed = len(self.effects.storage.keys(keys.markers))
        if self._committed.get(keys.folder, 0) == committed:
            return
        attempts = self.effects.ledger.attempts_of(run.run_id)
        known = checkpoints_by_value(self.effects.storage, attempts)
        held = [each for each, marker in known.items() if marker.path == attempt.resume_from]
        for each in superfluous(list(known), held=held, keep=self.keep):
            self.effects.drop(known[each])
        self._committed[keys.folder] = committed

    def forget_all_but(self, names: set[str]) -> None:
        """Drop the counts of attempts other than these."""
        self._committed = {name: n for name, n in self._committed.items() if name in names}
