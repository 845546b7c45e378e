"""Finalizing of attempts, and the decision about what happens to their runs."""

from dataclasses import dataclass, field

from ntlbg_service.controller.effects import Effects, EndedAttempt
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.domain.launch import ExitRecord
from ntlbg_service.domain.recovery import Decision, FailureClass, decide
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.results.attempt_outcome import history, keys_of, measured_of
from ntlbg_service.results.attempts import hours_of, read_exit


@dataclass
class AttemptFinalizer:
    """Finalizer that ends attempts by their exit records, or without one by what was observed."""

    effects: Effects
    ground: ClusterView
    _finished: list[EndedAttempt] = field(default_factory=list)
    """Attempts that finished in this step and are not written to the ledger yet."""

    def begin(self) -> None:
        """Begin a step; finished attempts that the last step could not write are observed again."""
        self._finished.clear()

    def close(self, run: Run, attempt: Attempt, record: ExitRecord) -> None:
        """End an attempt by its exit record; a finished one is ended by the next `write`."""
        if record.finished:
            measured = measured_of(self.effects.storage, attempt, record)
            self._finished.append(EndedAttempt(run=run, attempt=attempt, measured=measured))
            return
        failure = record.failure or FailureClass.BUG
        self.recover(run, attempt, AttemptState.FAILED, failure, record.message, record)

    def write(self) -> None:
        """Record the finished attempts, in one transaction."""
        if self._finished:
            self.effects.finish(self._finished)

    def withdraw(self, run: Run, attempt: Attempt, reason: str) -> None:
        """Stop an attempt through no fault of its own; its run is queued again or cancelled."""
        self.roll_back(run, attempt, Decision(retry=True, reason=reason), "")

    def roll_back(self, run: Run, attempt: Attempt, decision: Decision, message: str) -> None:
        """Stop an attempt that did not come up; its run is retried as decided."""
        if self.stop(run, attempt):
            return
        state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
        record = read_exit(self.effects.storage, keys_of(attempt))
        measured = measured_of(self.effects.storage, attempt, record)
        self.effects.fail(run, attempt, state, failure, message, decision, measured)

    def hung(self, run: Run, attempt: Attempt, words: str) -> None:
        """Stop an attempt that hangs."""
        if not self.stop(run, attempt):
            self.lost(run, attempt, words)

    def out_of_time(self, run: Run, attempt: Attempt) -> None:
        """Stop an attempt whose run has used up its hours."""
        if not self.stop(run, attempt):
            state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
            self.recover(run, attempt, state, failure, "stopped by the service", None)

    def lost(self, run: Run, attempt: Attempt, message: str) -> None:
        """Record an attempt as lost: it is gone and left no exit record."""
        self.recover(run, attempt, AttemptState.LOST, FailureClass.INFRASTRUCTURE, message, None)

    def stop(self, run: Run, attempt: Attempt) -> bool:
        """Stop an attempt's process; close it and return True if it had finished just before."""
        keys = keys_of(attempt)
        self.effects.stop(keys)
        record = read_exit(self.effects.storage, keys)
        if record is None or not record.finished:
            return False
        self.close(run, attempt, record)
        return True

    def recover(
        self,
        run: Run,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass,
        message: str,
        record: ExitRecord | None,
    ) -> None:
        """Decide how the run of an attempt that did not finish continues, and record both."""
        storage = self.effects.storage
        if failure is FailureClass.INFRASTRUCTURE:
            self.ground.invalidate()
        attempts = self.effects.ledger.attempts_of(run.run_id)
        fits = (run.next_fit,) if run.next_fit else run.fits
        decision = decide(
            history(storage, attempts, failure),
            seed=run.run_id,
            climb=lambda: self.ground.climb(run, attempt),
            holds=lambda nodes: self.ground.holds(fits, nodes | frozenset(run.excluded)),
            host_gib=self.ground.host_gib,
            hours=hours_of(storage, run, attempts),
        )
        measured = measured_of(storage, attempt, record)
        self.effects.fail(run, attempt, state, failure, message, decision, measured)
