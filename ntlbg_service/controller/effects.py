"""Everything a controller does to the world, each through the one door."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ntlbg_service.domain.cluster import Placement
from ntlbg_service.domain.launch import CheckpointMarker, LaunchSpec, to_json
from ntlbg_service.domain.recovery import Decision, FailureClass
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.door import Door
from ntlbg_service.executors.contract import Executor
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Measured, Run
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import AlreadyWrittenError, Storage, take_away
from ntlbg_service.storage.records import read_record

NOBODY = {"pid": 0, "started": 0.0}
"""The claim of an attempt that no process may carry any more."""


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Writes to the ledger and to storage, and words to the executor. Each may be repeated."""

    ledger: Ledger
    storage: Storage
    executor: Executor
    door: Door = field(default_factory=Door)
    note: Callable[[str], None] = lambda _: None
    """Told in one line what was done."""

    def start(
        self, run: Run, placement: Placement, marker: CheckpointMarker | None, why: str = ""
    ) -> Attempt:
        """Write the intent to start a new attempt, and `why` now. Raises TransitionError where the
        run waits no more."""
        fit = placement.fit
        reason = f"on {fit.profile}"
        if marker is not None:
            reason += f", resumes from step {marker.step} of attempt {marker.attempt}"
        attempt = self.door.through(
            "start",
            lambda: self.ledger.start_attempt(
                run,
                fit,
                marker.path if marker else None,
                self.executor.name,
                f"{reason}; {why}" if why else reason,
                placement.nodes,
            ),
        )
        self.note(f"{run.label}: attempt {attempt.number} {reason}")
        return attempt

    def launch(self, spec: LaunchSpec) -> None:
        """Tell the executor, after the spec is in storage; one that is there already counts."""
        keys = AttemptKeys(spec.run_id, spec.attempt)
        stored = read_record(self.storage, LaunchSpec, keys.spec)
        if stored is None:
            self.door.outside("spec", lambda: self.storage.put(keys.spec, to_json(spec)))
        self.door.outside("launch", lambda: self.executor.launch(stored or spec))

    def drop(self, marker: CheckpointMarker) -> None:
        """Delete a checkpoint; its marker stays and says that it was. Where that does not go, its
        run goes on all the same."""
        path = self.storage.path(marker.path)
        try:
            self.door.outside("drop", lambda: take_away(path))
        except OSError as error:
            self.note(f"{path}: not deleted: {error.strerror}")

    def stop(self, keys: AttemptKeys) -> None:
        """End a launch for good: also one whose process has not claimed its attempt yet."""
        self.door.outside("stop", lambda: self.executor.stop(keys))
        if self.storage.get(keys.process) is None and not self._bar(keys):
            self.door.outside("stop", lambda: self.executor.stop(keys))

    def _bar(self, keys: AttemptKeys) -> bool:
        """Claim an attempt for nobody, so that a process that comes late ends at once."""
        try:
            self.door.outside("bar", lambda: self.storage.put(keys.process, NOBODY))
        except AlreadyWrittenError:
            return False
        return True

    def finish(self, attempt: Attempt, measured: Measured) -> None:
        """The run is finished."""
        self._end(
            attempt,
            lambda: self.ledger.end_attempt(
                attempt, AttemptState.FINISHED, RunState.FINISHED, measured=measured
            ),
            AttemptState.FINISHED,
        )

    def fail(
        self,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass,
        message: str,
        decision: Decision,
        measured: Measured,
    ) -> None:
        """An attempt ended without finishing; its run goes on or ends as decided."""
        failure = decision.failure or failure
        given_up = RunState.LOST if failure is FailureClass.INFRASTRUCTURE else RunState.FAILED
        told = decision.retry or decision.failure is not None
        wait = decision.wait_seconds
        self._end(
            attempt,
            lambda: self.ledger.end_attempt(
                attempt,
                state,
                RunState.QUEUED if decision.retry else given_up,
                failure=failure,
                message=message,
                reason=decision.reason if told else message,
                next_fit=decision.fit,
                not_before=self.ledger.now() + wait if wait else 0.0,
                exclude=sorted(decision.exclude),
                measured=measured,
            ),
            f"{state}, {message}: {decision.reason}",
        )

    def _end(self, attempt: Attempt, write: Callable[[], RunState], words: str) -> None:
        becomes = self.door.through("end", write)
        label = self.ledger.run(attempt.run_id).label
        self.note(f"{label}: attempt {attempt.number} {words} [{becomes}]")
