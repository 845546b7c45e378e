"""All side effects of a controller, each guarded by the fault points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ntlbg_service.domain.launch import CheckpointMarker, LaunchSpec, to_json
from ntlbg_service.domain.recovery import Decision, FailureClass
from ntlbg_service.domain.scheduling.cluster import Placement
from ntlbg_service.domain.states import AttemptState, RunState
from ntlbg_service.executors.contract import Executor
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, End, Measured, NewAttempt, Run
from ntlbg_service.process.fault_points import FaultPoints
from ntlbg_service.storage.claims import read_claim
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import (
    AlreadyWrittenError,
    CorruptRecordError,
    Storage,
    delete_atomically,
)

NOBODY = {"pid": 0, "started": 0.0}
"""Claim that bars every process from an attempt."""


@dataclass(frozen=True, kw_only=True)
class PlannedStart:
    """A run that is to be started now."""

    run: Run
    placement: Placement
    marker: CheckpointMarker | None
    """Marker of the checkpoint to resume from; None starts from scratch."""
    why: str

    @property
    def on(self) -> str:
        """Description of where the run starts, and from which checkpoint."""
        where = f"on {self.placement.fit.profile}"
        if self.marker is None:
            return where
        return f"{where}, resumes from step {self.marker.step} of attempt {self.marker.attempt}"


@dataclass(frozen=True, kw_only=True)
class EndedAttempt:
    """An attempt that finished."""

    run: Run
    attempt: Attempt
    measured: Measured


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Writes to the ledger and to storage, and calls to the executor; each is idempotent."""

    ledger: Ledger
    storage: Storage
    executor: Executor
    door: FaultPoints = field(default_factory=FaultPoints)
    note: Callable[[str], None] = lambda _: None
    """Callback with one line about each effect."""

    def start(self, starting: Sequence[PlannedStart]) -> list[tuple[Run, Attempt]]:
        """Write the intents to start new attempts, with the reasons, in one transaction.

        Runs that are no longer queued are left out.
        """
        wanted = [
            NewAttempt(
                run_id=each.run.run_id,
                fit=each.placement.fit,
                resume_from=each.marker.path if each.marker else None,
                executor=self.executor.name,
                reason=f"{each.on}; {each.why}",
                nodes=each.placement.nodes,
            )
            for each in starting
        ]
        attempts = self.door.ledger_effect("start", lambda: self.ledger.start_attempts(wanted))
        by_id = {each.run.run_id: each for each in starting}
        for attempt in attempts:
            each = by_id[attempt.run_id]
            self.note(f"{each.run.label}: attempt {attempt.number} {each.on}")
        return [(by_id[attempt.run_id].run, attempt) for attempt in attempts]

    def write(self, specs: Sequence[LaunchSpec]) -> None:
        """Write the specs to storage, from where they are launched."""
        fresh = {AttemptKeys(spec.run_id, spec.attempt).spec: to_json(spec) for spec in specs}
        if fresh:
            self.door.external_effect("spec", lambda: self.storage.put_all(fresh))

    def launch(self, spec: LaunchSpec) -> None:
        """Launch a spec that is in storage."""
        self.door.external_effect("launch", lambda: self.executor.launch(spec))

    def drop(self, marker: CheckpointMarker) -> None:
        """Delete a checkpoint; its marker stays and records that it existed.

        A failed deletion is noted and does not affect the run.
        """
        path = self.storage.path(marker.path)
        try:
            self.door.external_effect("drop", lambda: delete_atomically(path))
        except OSError as error:
            self.note(f"{path}: not deleted: {error.strerror or error}")

    def stop(self, keys: AttemptKeys) -> None:
        """Stop a launch for good, also one whose process has not claimed its attempt yet."""
        self.door.external_effect("stop", lambda: self.executor.stop(keys))
        if read_claim(self.storage, keys) is None and not self._bar(keys):
            self.door.external_effect("stop", lambda: self.executor.stop(keys))

    def _bar(self, keys: AttemptKeys) -> bool:
        """Claim an attempt with an invalid process, so that a late process ends at once."""
        try:
            self.door.external_effect("bar", lambda: self.storage.put(keys.process, NOBODY))
        except (AlreadyWrittenError, CorruptRecordError):
            return False
        return True

    def finish(self, ended: Sequence[EndedAttempt]) -> None:
        """Record these attempts and their runs as finished, in one transaction."""
        state, becomes = AttemptState.FINISHED, RunState.FINISHED
        ends = [
            End(attempt=each.attempt, state=state, run_state=becomes, measured=each.measured)
            for each in ended
        ]
        self.door.ledger_effect("end", lambda: self.ledger.end_attempts(ends))
        for each in ended:
            self.note(f"{each.run.label}: attempt {each.attempt.number} {state} [{becomes}]")

    def fail(
        self,
        run: Run,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass,
        message: str,
        decision: Decision,
        measured: Measured,
    ) -> None:
        """Record an attempt that did not finish; its run is retried or ends as decided."""
        failure = decision.failure or failure
        given_up = RunState.LOST if failure is FailureClass.INFRASTRUCTURE else RunState.FAILED
        told = decision.retry or decision.failure is not None
        wait = decision.wait_seconds
        becomes = self.door.ledger_effect(
            "end",
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
        )
        words = f"attempt {attempt.number} {state}, {message}: {decision.reason}"
        self.note(f"{run.label}: {words} [{becomes}]")
