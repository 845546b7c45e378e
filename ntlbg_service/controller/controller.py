"""The reconciliation loop: observe, decide with the domain, act. Stateless, so safe to restart."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from ntlbg_service.controller.checkpoint_pruning import CheckpointPruner
from ntlbg_service.controller.effects import Effects
from ntlbg_service.controller.error_isolation import ErrorIsolation
from ntlbg_service.controller.finalizing import AttemptFinalizer
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.stall_detection import StallDetector
from ntlbg_service.controller.starting import Starter
from ntlbg_service.domain.launch import ExitRecord, Work
from ntlbg_service.domain.liveness.gang import NOT_UP, overdue, roll_back
from ntlbg_service.domain.liveness.timeouts import Timeouts
from ntlbg_service.domain.recovery import UNLIMITED, Decision, Hours
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.states import DesiredState
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.attempt_outcome import keys_of
from ntlbg_service.results.attempts import hours_of, read_exit, signs_of_life
from ntlbg_service.storage.local import StorageUnavailableError


@dataclass(frozen=True, kw_only=True)
class Controller:
    """Reconciler that drives the runs of one suite, or of the whole ledger, to their ends."""

    effects: Effects
    workspace: Workspace
    ground: ClusterView
    """Nodes on which runs may be placed."""
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    keep: int | None = None
    """Number of newest checkpoints to keep per active run, besides the best; None keeps all."""
    suite_key: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    caps: Caps = field(default_factory=Caps)
    """Limits on the GPUs that a user or a suite may hold at once."""
    alive: Callable[[], None] = lambda: None
    """Callback before each attempt is examined and before each start: a step may take long."""
    decided: Callable[[float], None] = lambda _: None
    """Callback with the seconds that one scheduling decision took, starts not included."""

    @cached_property
    def _trouble(self) -> ErrorIsolation:
        return ErrorIsolation(self.alive)

    @cached_property
    def _pulse(self) -> StallDetector:
        return StallDetector(self.clock)

    @cached_property
    def _tidying(self) -> CheckpointPruner:
        return CheckpointPruner(self.effects, self.keep)

    @cached_property
    def _endings(self) -> AttemptFinalizer:
        return AttemptFinalizer(self.effects, self.ground)

    @cached_property
    def _starter(self) -> Starter:
        return Starter(
            effects=self.effects,
            workspace=self.workspace,
            ground=self.ground,
            caps=self.caps,
            suite_key=self.suite_key,
            clock=self.clock,
            decided=self.decided,
            endings=self._endings,
            trouble=self._trouble,
        )

    def step(self) -> bool:
        """Reconcile once; return False when every run of this controller has ended.

        It examines every active attempt, since one that another suite's killed controller left
        behind holds a slot; it starts only runs of its own. Raises LeadershipLostError where
        another controller leads; any other error of one attempt is noted and does not affect the
        others.
        """
        with _left_alone():
            return self._step()

    def _step(self) -> bool:
        ledger = self.effects.ledger
        news = self.ground.look_again()
        if news:
            self.effects.note(f"nodes: {news}")
        active, runs = ledger.active_attempts(), ledger.active_runs()
        folders = {keys_of(attempt).folder for attempt in active}
        self._pulse.forget_all_but({*folders, *map(work_of, folders)})
        self._tidying.forget_all_but(folders)
        self._trouble.begin()
        self._endings.begin()
        for attempt in active:
            if attempt.run_id in runs:  # Else another controller leads and has ended it.
                self._trouble.run(self._look, runs[attempt.run_id], attempt)
        self._trouble.run(self._endings.write)
        self._starter.place()
        for said in self._trouble.fresh():
            self.effects.note(said)
        return ledger.going(self.suite_key)

    def interrupt(self) -> None:
        """Stop all running attempts; the same command resumes from the newest checkpoints."""
        ledger = self.effects.ledger
        self._endings.begin()
        active = ledger.active_attempts(self.suite_key)
        runs = ledger.runs([attempt.run_id for attempt in active])
        for attempt in active:
            self._endings.withdraw(runs[attempt.run_id], attempt, "stopped by the service")
        self._endings.write()

    def _look(self, run: Run, attempt: Attempt) -> None:
        try:
            self._see_to(run, attempt)
        except StorageUnavailableError:
            folder = keys_of(attempt).folder
            self._pulse.forget(folder, work_of(folder))
            raise

    def _see_to(self, run: Run, attempt: Attempt) -> None:
        keys = keys_of(attempt)
        record = read_exit(self.effects.storage, keys)
        status = self.effects.executor.status(keys)
        self._tidying.tidy(run, attempt)
        if status is LaunchStatus.RUNNING:
            self._look_at_running(run, attempt, record)
            return
        # The exit record may have been written between the first read and the end of the process.
        record = record or read_exit(self.effects.storage, keys)
        if record is not None:
            self._endings.close(run, attempt, record)
        elif run.wanted is not DesiredState.RUN:
            self._endings.withdraw(run, attempt, f"{run.wanted} was asked for")
        elif status is LaunchStatus.ENDED:
            self._endings.lost(run, attempt, "the driver ended without an exit record")
        elif self.suite_key in (None, run.suite_key):
            self._starter.launch([(run, attempt)])
        else:
            self._endings.withdraw(run, attempt, "never started; its place is wanted by others")

    def _look_at_running(self, run: Run, attempt: Attempt, record: ExitRecord | None) -> None:
        keys = keys_of(attempt)
        signs = signs_of_life(self.effects.storage, run, attempt)
        # A process may still send heartbeats after its exit record; from then on only its exit
        # counts.
        still = self._pulse.still_for(keys.folder, signs if record is None else "exit record")
        done = tuple(sign.done for sign in signs)
        hung = self.timeouts.hung(
            still,
            self._pulse.still_for(work_of(keys.folder), done),
            beats=bool(signs) and run.work is Work.TRAIN,
            begun=any(done),
        )
        if record is not None:
            # The process still holds the device; the slot is free only when the process has exited.
            if still > self.timeouts.exit_grace:
                self.effects.stop(keys)
        elif run.wanted is not DesiredState.RUN:
            self._endings.withdraw(run, attempt, f"{run.wanted} was asked for")
        elif not signs and (back := self._gang_rolls_back(attempt, still)):
            self._endings.roll_back(run, attempt, back, NOT_UP)
        elif hung:
            self._endings.hung(run, attempt, hung)
        elif self._hours(run).spent:
            self._endings.out_of_time(run, attempt)

    def _hours(self, run: Run) -> Hours:
        if run.max_hours is None:
            return UNLIMITED
        attempts = self.effects.ledger.attempts_of(run.run_id)
        return hours_of(self.effects.storage, run, attempts)

    def _gang_rolls_back(self, attempt: Attempt, still: float) -> Decision | None:
        if not overdue(attempt.fit.workers, still):
            return None
        before = self.effects.ledger.attempts_of(attempt.run_id)[:-1]
        earlier = takewhile(lambda past: past.message == NOT_UP, reversed(before))
        return roll_back(attempt.fit.workers, still, len(list(earlier)), attempt.run_id)


@contextmanager
def _left_alone() -> Iterator[None]:
    """Disable garbage collection within the block.

    A step creates so many objects from a long queue that the collector would traverse all of them
    several times; that took a fifth of the step's time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def work_of(folder: str) -> str:
    """Return the name that tracks an attempt's progress, apart from its heartbeat."""
    return f"{folder} work"
