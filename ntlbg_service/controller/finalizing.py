"""How attempts end, and what becomes of their runs."""

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
    """Ends attempts by what their exit records say, or without one by what was seen."""

    effects: Effects
    ground: ClusterView
    _finished: list[EndedAttempt] = field(default_factory=list)
    """Attempts seen to have finished in this step, which are not written yet."""

    def begin(self) -> None:
        """A step begins: what the one before could not write is seen again."""
        self._finished.clear()

    def close(self, run: Run, attempt: Attempt, record: ExitRecord) -> None:
        """End an attempt by its exit record; one that finished when `write` is called."""
        if record.finished:
            measured = measured_of(self.effects.storage, attempt, record)
            self._finished.append(EndedAttempt(run=run, attempt=attempt, measured=measured))
            return
        failure = record.failure or FailureClass.BUG
        self.recover(run, attempt, AttemptState.FAILED, failure, record.message, record)

    def write(self) -> None:
        """Write what was seen to have finished, in one transaction."""
        if self._finished:
            self.effects.finish(self._finished)

    def withdraw(self, run: Run, attempt: Attempt, reason: str) -> None:
        """Stop an attempt that has done nothing wrong. Its run waits again, or is cancelled."""
        self.roll_back(run, attempt, Decision(retry=True, reason=reason), "")

    def roll_back(self, run: Run, attempt: Attempt, decision: Decision, message: str) -> None:
        """Stop an attempt that did not come up; its run waits as decided."""
        if self.stop(run, attempt):
            return
        state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
        record = read_exit(self.effects.storage, keys_of(attempt))
        measured = measured_of(self.effects.storage, attempt, record)
        self.effects.fail(run, attempt, state, failure, message, decision, measured)

    def hung(self, run: Run, attempt: Attempt, words: str) -> None:
        """Stop an attempt that does nothing any more."""
        if not self.stop(run, attempt):
            self.lost(run, attempt, words)

    def out_of_time(self, run: Run, attempt: Attempt) -> None:
        """Stop an attempt whose run has used its hours."""
        if not self.stop(run, attempt):
            state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
            self.recover(run, attempt, state, failure, "stopped by the service", None)

    def lost(self, run: Run, attempt: Attempt, message: str) -> None:
        """An attempt is gone, and left no exit record."""
        self.recover(run, attempt, AttemptState.LOST, FailureClass.INFRASTRUCTURE, message, None)

    def stop(self, run: Run, attempt: Attempt) -> bool:
        """End the process of an attempt. True where it had finished just before: it is closed."""
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
        """An attempt ended without finishing: decide how its run goes on, if it does."""
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
