"""Observe, decide with the domain, act through one door. Stateless: kill it, start it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeVarTuple

from ntlbg_service.controller.climbing import Ground
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.evidence import history, keys_of, measured_of, signs_of_life
from ntlbg_service.controller.pulse import Pulse
from ntlbg_service.controller.seen import Seen
from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.domain.caps import Caps
from ntlbg_service.domain.cluster import Placement
from ntlbg_service.domain.errors import InfrastructureError
from ntlbg_service.domain.gang import NOT_UP, roll_back
from ntlbg_service.domain.launch import ExitRecord, Work
from ntlbg_service.domain.recovery import Decision, FailureClass, decide
from ntlbg_service.domain.starts import starts, words_of_start
from ntlbg_service.domain.states import AttemptState, TransitionError, Wanted
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.ledger.transactions import DeposedError
from ntlbg_service.results import newest_checkpoint, read_exit
from ntlbg_service.workspace import Workspace

What = TypeVarTuple("What")

SILENT_SECONDS = 300.0
"""A heartbeat that stays the same for so long is that of a process that hangs."""
UNHEARD_SECONDS = 1800.0
"""How long an attempt may take to its first heartbeat: nodes start, models are fetched."""
LINGER_SECONDS = 60.0
"""How long a process may take to end after its exit record."""


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Drives the runs of one suite, or of the whole ledger, to their ends."""

    effects: Effects
    workspace: Workspace
    ground: Ground
    """Where runs may go."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    suite_key: str | None = None
    caps: Caps = field(default_factory=Caps)
    """How many GPUs whoever may hold at once."""
    _pulse: Pulse = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pulse", Pulse(self.clock))

    def step(self) -> bool:
        """One reconciliation. False when every run it drives has ended.

        It looks at every active attempt, since one that another suite's killed controller left
        behind holds a place; it starts only runs of its own. Raises DeposedError where another
        leads; what else goes wrong with one attempt is noted and does not touch the others.
        """
        ledger = self.effects.ledger
        active = ledger.active_attempts()
        self._pulse.forget_all_but({keys_of(attempt).folder for attempt in active})
        for attempt in active:
            self._despite_trouble(self._look, attempt)
        self._place()
        return bool(ledger.active_attempts(self.suite_key) or ledger.queued(self.suite_key))

    def interrupt(self) -> None:
        """Stop what runs; the same command goes on from the newest checkpoints."""
        for attempt in self.effects.ledger.active_attempts(self.suite_key):
            self._withdraw(attempt, _stopped("stopped by the service"))

    def _despite_trouble(self, act: Callable[[*What], None], *what: *What) -> None:
        try:
            act(*what)
        except DeposedError:
            raise
        except InfrastructureError as error:
            self.effects.note(str(error))

    def _look(self, attempt: Attempt) -> None:
        keys = keys_of(attempt)
        record = read_exit(self.effects.storage, keys)
        status = self.effects.executor.status(keys)
        run = self.effects.ledger.run(attempt.run_id)
        if status is LaunchStatus.RUNNING:
            self._look_at_running(run, attempt, record)
            return
        # An exit record is written before the process ends, so it is looked for once more.
        record = record or read_exit(self.effects.storage, keys)
        if record is not None:
            self._close(attempt, record)
        elif run.wanted is not Wanted.RUN:
            self._withdraw(attempt, _stopped(f"{run.wanted} was asked for"))
        elif status is LaunchStatus.ENDED:
            self._lost(attempt, "the driver ended without an exit record")
        elif self.suite_key in (None, run.suite_key):
            self._launch(run, attempt)
        else:
            self._withdraw(attempt, _stopped("never started; its place is wanted by others"))

    def _look_at_running(self, run: Run, attempt: Attempt, record: ExitRecord | None) -> None:
        keys = keys_of(attempt)
        signs = signs_of_life(self.effects.storage, run, attempt)
        # Between two trials nothing beats either.
        most = SILENT_SECONDS if signs and run.work is Work.TRAIN else UNHEARD_SECONDS
        # A process may beat on after its exit record; from then on only its end counts.
        still = self._pulse.still_for(keys.folder, signs if record is None else "exit record")
        if record is not None:
            # Its process still holds the device: the place is free when it is gone.
            if still > LINGER_SECONDS:
                self.effects.stop(keys)
        elif run.wanted is not Wanted.RUN:
            self._withdraw(attempt, _stopped(f"{run.wanted} was asked for"))
        elif not signs and (back := self._gang_rolls_back(attempt, still)):
            self._withdraw(attempt, back, NOT_UP)
        elif still > most:
            self.effects.stop(keys)
            self._ended_by_us(attempt, f"no sign of life for {still:.0f} s")

    def _ended_by_us(self, attempt: Attempt, message: str) -> None:
        record = read_exit(self.effects.storage, keys_of(attempt))
        if record is not None and record.finished:
            self._close(attempt, record)
        else:
            self._lost(attempt, message)

    def _gang_rolls_back(self, attempt: Attempt, still: float) -> Decision | None:
        before = self.effects.ledger.attempts_of(attempt.run_id)[:-1]
        earlier = takewhile(lambda past: past.message == NOT_UP, reversed(before))
        return roll_back(attempt.fit.workers, still, len(list(earlier)), attempt.run_id)

    def _withdraw(self, attempt: Attempt, decision: Decision, message: str = "") -> None:
        """Stop an attempt that has done nothing wrong. Its run waits again, or is cancelled."""
        keys = keys_of(attempt)
        self.effects.stop(keys)
        record = read_exit(self.effects.storage, keys)
        if record is not None and record.finished:
            self._close(attempt, record)
            return
        state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
        measured = measured_of(self.effects.storage, attempt, record)
        self.effects.fail(attempt, state, failure, message, decision, measured)

    def _close(self, attempt: Attempt, record: ExitRecord) -> None:
        if record.finished:
            self.effects.finish(attempt, measured_of(self.effects.storage, attempt, record))
            return
        failure = record.failure or FailureClass.BUG
        self._recover(attempt, AttemptState.FAILED, failure, record.message, record)

    def _lost(self, attempt: Attempt, message: str) -> None:
        self._recover(attempt, AttemptState.LOST, FailureClass.INFRASTRUCTURE, message, None)

    def _recover(
        self,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass,
        message: str,
        record: ExitRecord | None,
    ) -> None:
        storage = self.effects.storage
        run = self.effects.ledger.run(attempt.run_id)
        attempts = self.effects.ledger.attempts_of(run.run_id)
        fits = (run.next_fit,) if run.next_fit else run.fits
        decision = decide(
            history(storage, attempts, failure),
            seed=run.run_id,
            climb=lambda: self.ground.climb(run, attempt),
            holds=lambda nodes: self.ground.holds(fits, nodes | frozenset(run.excluded)),
            host_gib=self.ground.host_gib,
        )
        measured = measured_of(storage, attempt, record)
        self.effects.fail(attempt, state, failure, message, decision, measured)

    def _place(self) -> None:
        now = self.effects.ledger.now()
        waiting = {
            run.run_id: run
            for run in self.effects.ledger.queued(self.suite_key)
            if run.wanted is Wanted.RUN and run.not_before <= now
        }
        if not waiting:
            return
        seen = Seen(self.effects.ledger, self.caps)
        jobs = [seen.job_of(run) for run in waiting.values()]
        labels = {run_id: run.label for run_id, run in waiting.items()}
        for start in starts(jobs, seen.cluster(self.ground.inventory.nodes()), now / 3600):
            why = words_of_start(start, labels)
            run = waiting[start.placement.run_id]
            self._despite_trouble(self._start, run, start.placement, why)

    def _start(self, run: Run, placement: Placement, why: str) -> None:
        ledger, storage = self.effects.ledger, self.effects.storage
        marker = newest_checkpoint(storage, ledger.attempts_of(run.run_id))
        try:
            attempt = self.effects.start(run, placement, marker, why)
        except TransitionError:
            return  # Somebody cancelled it meanwhile.
        self._launch(run, attempt)

    def _launch(self, run: Run, attempt: Attempt) -> None:
        self.effects.launch(launch_spec(run, attempt, self.workspace))


def _stopped(reason: str) -> Decision:
    return Decision(retry=True, reason=reason)
