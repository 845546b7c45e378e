"""Observe, decide with the domain, act through one door. Stateless: kill it, start it again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeVarTuple

from ntlbg_service.controller.climbing import Ground
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.evidence import history, keys_of, measured_of
from ntlbg_service.controller.pulse import Pulse
from ntlbg_service.controller.seen import Seen
from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.controller.tidying import Tidying
from ntlbg_service.domain.caps import Caps
from ntlbg_service.domain.cluster import Placement
from ntlbg_service.domain.errors import NtlbgError, UserError
from ntlbg_service.domain.gang import NOT_UP, roll_back
from ntlbg_service.domain.launch import ExitRecord, Work
from ntlbg_service.domain.patience import Patience
from ntlbg_service.domain.recovery import UNLIMITED, Decision, FailureClass, Hours, decide
from ntlbg_service.domain.starts import starts, words_of_start
from ntlbg_service.domain.states import AttemptState, TransitionError, Wanted
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.ledger.transactions import DeposedError
from ntlbg_service.results import hours_of, newest_checkpoint, read_exit, signs_of_life
from ntlbg_service.storage.local import DamagedError
from ntlbg_service.workspace import Workspace

What = TypeVarTuple("What")


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Drives the runs of one suite, or of the whole ledger, to their ends."""

    effects: Effects
    workspace: Workspace
    ground: Ground
    """Where runs may go."""
    clock: Callable[[], float]
    """Monotonic seconds."""
    keep: int | None = None
    """Newest checkpoints of a run that stay while it goes on, beside the best; None: all."""
    suite_key: str | None = None
    patience: Patience = field(default_factory=Patience)
    caps: Caps = field(default_factory=Caps)
    """How many GPUs whoever may hold at once."""
    alive: Callable[[], None] = lambda: None
    """Told before each attempt that is looked at and each start: a step may be long."""
    decided: Callable[[float], None] = lambda _: None
    """Told how many seconds a look at the queue took, starts not counted."""
    _pulse: Pulse = field(init=False)
    _tidying: Tidying = field(init=False)
    _trouble: set[str] = field(default_factory=set, init=False)
    """What went wrong in the last step: it is noted when it begins, not every second."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pulse", Pulse(self.clock))
        object.__setattr__(self, "_tidying", Tidying(self.effects, self.keep))

    def step(self) -> bool:
        """One reconciliation. False when every run it drives has ended.

        It looks at every active attempt, since one that another suite's killed controller left
        behind holds a place; it starts only runs of its own. Raises DeposedError where another
        leads; what else goes wrong with one attempt is noted and does not touch the others.
        """
        ledger = self.effects.ledger
        news = self.ground.look_again()
        if news:
            self.effects.note(f"nodes: {news}")
        active = ledger.active_attempts()
        folders = {keys_of(attempt).folder for attempt in active}
        self._pulse.forget_all_but({*folders, *map(work_of, folders)})
        self._tidying.forget_all_but(folders)
        before = set(self._trouble)
        self._trouble.clear()
        for attempt in active:
            self._despite_trouble(self._look, attempt)
        self._place()
        for said in sorted(self._trouble - before):
            self.effects.note(said)
        return bool(ledger.active_attempts(self.suite_key) or ledger.queued(self.suite_key))

    def interrupt(self) -> None:
        """Stop what runs; the same command goes on from the newest checkpoints."""
        for attempt in self.effects.ledger.active_attempts(self.suite_key):
            self._withdraw(attempt, _stopped("stopped by the service"))

    def _despite_trouble(self, act: Callable[[*What], None], *what: *What) -> None:
        self.alive()
        try:
            act(*what)
        except DeposedError:
            raise
        except NtlbgError as error:
            self._trouble.add(str(error))

    def _look(self, attempt: Attempt) -> None:
        keys = keys_of(attempt)
        record = read_exit(self.effects.storage, keys)
        status = self.effects.executor.status(keys)
        run = self.effects.ledger.run(attempt.run_id)
        self._tidying.tidy(run, attempt)
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
        # A process may beat on after its exit record; from then on only its end counts.
        still = self._pulse.still_for(keys.folder, signs if record is None else "exit record")
        done = tuple(sign.done for sign in signs)
        hung = self.patience.hung(
            still,
            self._pulse.still_for(work_of(keys.folder), done),
            beats=bool(signs) and run.work is Work.TRAIN,
            begun=any(done),
        )
        if record is not None:
            # Its process still holds the device: the place is free when it is gone.
            if still > self.patience.lingers:
                self.effects.stop(keys)
        elif run.wanted is not Wanted.RUN:
            self._withdraw(attempt, _stopped(f"{run.wanted} was asked for"))
        elif not signs and (back := self._gang_rolls_back(attempt, still)):
            self._withdraw(attempt, back, NOT_UP)
        elif hung:
            self.effects.stop(keys)
            if not self._finished(attempt):
                self._lost(attempt, hung)
        elif self._hours(run).spent:
            self.effects.stop(keys)
            if not self._finished(attempt):
                state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
                self._recover(attempt, state, failure, "stopped by the service", None)

    def _hours(self, run: Run) -> Hours:
        if run.max_hours is None:
            return UNLIMITED
        attempts = self.effects.ledger.attempts_of(run.run_id)
        return hours_of(self.effects.storage, run, attempts)

    def _finished(self, attempt: Attempt) -> bool:
        """Close an attempt that we ended where it had finished just before."""
        record = read_exit(self.effects.storage, keys_of(attempt))
        if record is None or not record.finished:
            return False
        self._close(attempt, record)
        return True

    def _gang_rolls_back(self, attempt: Attempt, still: float) -> Decision | None:
        before = self.effects.ledger.attempts_of(attempt.run_id)[:-1]
        earlier = takewhile(lambda past: past.message == NOT_UP, reversed(before))
        return roll_back(attempt.fit.workers, still, len(list(earlier)), attempt.run_id)

    def _withdraw(self, attempt: Attempt, decision: Decision, message: str = "") -> None:
        """Stop an attempt that has done nothing wrong. Its run waits again, or is cancelled."""
        keys = keys_of(attempt)
        self.effects.stop(keys)
        if self._finished(attempt):
            return
        state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
        record = read_exit(self.effects.storage, keys)
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
        if failure is FailureClass.INFRASTRUCTURE:
            self.ground.doubt()
        run = self.effects.ledger.run(attempt.run_id)
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
        self.effects.fail(attempt, state, failure, message, decision, measured)

    def _place(self) -> None:
        began = self.clock()
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
        due = starts(jobs, seen.cluster(self.ground.inventory.nodes()), now / 3600)
        self.decided(self.clock() - began)
        for start in due:
            why = words_of_start(start, labels)
            run = waiting[start.placement.run_id]
            self._despite_trouble(self._start, run, start.placement, why)

    def _start(self, run: Run, placement: Placement, why: str) -> None:
        ledger, storage = self.effects.ledger, self.effects.storage
        marker = newest_checkpoint(storage, ledger.attempts_behind(run))
        try:
            attempt = self.effects.start(run, placement, marker, why)
        except TransitionError:
            return  # Somebody cancelled it meanwhile.
        self._launch(run, attempt)

    def _launch(self, run: Run, attempt: Attempt) -> None:
        gone = self.ground.gone(attempt.nodes)
        if gone:
            self._withdraw(attempt, _stopped(f"{', '.join(gone)} went before it began"))
            return
        try:
            self.effects.launch(launch_spec(run, attempt, self.workspace, self.ground.ray_ids))
        except UserError as error:
            # What was submitted is not what this code runs, whoever tries it again.
            self._recover(attempt, AttemptState.FAILED, FailureClass.USER, str(error), None)
        except DamagedError as error:
            self._lost(attempt, str(error))


def work_of(folder: str) -> str:
    """Name of the sign that an attempt does something, beside that of its life."""
    return f"{folder} work"


def _stopped(reason: str) -> Decision:
    return Decision(retry=True, reason=reason)
