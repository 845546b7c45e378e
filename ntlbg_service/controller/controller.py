"""Observe, decide with the domain, act through one door. Stateless: kill it, start it again."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeVarTuple

from ntlbg_service.controller.climbing import Ground
from ntlbg_service.controller.effects import Effects, Ended, Starting
from ntlbg_service.controller.evidence import history, keys_of, measured_of
from ntlbg_service.controller.pulse import Pulse
from ntlbg_service.controller.queue import Queue
from ntlbg_service.controller.seen import Seen
from ntlbg_service.controller.spec import launch_spec
from ntlbg_service.controller.tidying import Tidying
from ntlbg_service.domain.errors import NtlbgError, UserError
from ntlbg_service.domain.gang import NOT_UP, overdue, roll_back
from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, Work
from ntlbg_service.domain.patience import Patience
from ntlbg_service.domain.recovery import UNLIMITED, Decision, FailureClass, Hours, decide
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.schedule import something_free
from ntlbg_service.domain.scheduling.starts import Start, starts, words_of_start
from ntlbg_service.domain.states import AttemptState, Wanted
from ntlbg_service.executors.contract import LaunchStatus
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.ledger.transactions import DeposedError
from ntlbg_service.results import hours_of, newest_checkpoint, read_exit, signs_of_life
from ntlbg_service.storage.local import DamagedError, StorageAwayError
from ntlbg_service.storage.records import read_record
from ntlbg_service.workspace import Workspace

What = TypeVarTuple("What")

AT_ONCE = 32
"""Runs whose intents to start are written together. They are launched one after another, and the
hours of the last count from the same moment as those of the first."""


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
    _queue: Queue = field(default_factory=Queue, init=False)
    _ended: list[Ended] = field(default_factory=list, init=False)
    """Attempts seen to have finished in this step, which are not written yet."""
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
        before = set(self._trouble)
        self._trouble.clear()
        self._ended.clear()
        for attempt in active:
            if attempt.run_id in runs:  # Else another leads by now, and has ended it.
                self._despite_trouble(self._look, runs[attempt.run_id], attempt)
        self._despite_trouble(self._finish)
        self._place()
        for said in sorted(self._trouble - before):
            self.effects.note(said)
        return ledger.going(self.suite_key)

    def interrupt(self) -> None:
        """Stop what runs; the same command goes on from the newest checkpoints."""
        ledger = self.effects.ledger
        self._ended.clear()
        active = ledger.active_attempts(self.suite_key)
        runs = ledger.runs([attempt.run_id for attempt in active])
        for attempt in active:
            self._withdraw(runs[attempt.run_id], attempt, _stopped("stopped by the service"))
        self._finish()

    def _despite_trouble(self, act: Callable[[*What], None], *what: *What) -> None:
        self.alive()
        try:
            act(*what)
        except DeposedError:
            raise
        except NtlbgError as error:
            self._trouble.add(str(error))

    def _look(self, run: Run, attempt: Attempt) -> None:
        try:
            self._see_to(run, attempt)
        except StorageAwayError:
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
        # An exit record is written before the process ends, so it is looked for once more.
        record = record or read_exit(self.effects.storage, keys)
        if record is not None:
            self._close(run, attempt, record)
        elif run.wanted is not Wanted.RUN:
            self._withdraw(run, attempt, _stopped(f"{run.wanted} was asked for"))
        elif status is LaunchStatus.ENDED:
            self._lost(run, attempt, "the driver ended without an exit record")
        elif self.suite_key in (None, run.suite_key):
            self._launch([(run, attempt)])
        else:
            words = "never started; its place is wanted by others"
            self._withdraw(run, attempt, _stopped(words))

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
            self._withdraw(run, attempt, _stopped(f"{run.wanted} was asked for"))
        elif not signs and (back := self._gang_rolls_back(attempt, still)):
            self._withdraw(run, attempt, back, NOT_UP)
        elif hung:
            self.effects.stop(keys)
            if not self._finished(run, attempt):
                self._lost(run, attempt, hung)
        elif self._hours(run).spent:
            self.effects.stop(keys)
            if not self._finished(run, attempt):
                state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
                self._recover(run, attempt, state, failure, "stopped by the service", None)

    def _hours(self, run: Run) -> Hours:
        if run.max_hours is None:
            return UNLIMITED
        attempts = self.effects.ledger.attempts_of(run.run_id)
        return hours_of(self.effects.storage, run, attempts)

    def _finished(self, run: Run, attempt: Attempt) -> bool:
        """Close an attempt that we ended where it had finished just before."""
        record = read_exit(self.effects.storage, keys_of(attempt))
        if record is None or not record.finished:
            return False
        self._close(run, attempt, record)
        return True

    def _gang_rolls_back(self, attempt: Attempt, still: float) -> Decision | None:
        if not overdue(attempt.fit.workers, still):
            return None
        before = self.effects.ledger.attempts_of(attempt.run_id)[:-1]
        earlier = takewhile(lambda past: past.message == NOT_UP, reversed(before))
        return roll_back(attempt.fit.workers, still, len(list(earlier)), attempt.run_id)

    def _withdraw(self, run: Run, attempt: Attempt, decision: Decision, message: str = "") -> None:
        """Stop an attempt that has done nothing wrong. Its run waits again, or is cancelled."""
        keys = keys_of(attempt)
        self.effects.stop(keys)
        if self._finished(run, attempt):
            return
        state, failure = AttemptState.INTERRUPTED, FailureClass.INTERRUPTED
        record = read_exit(self.effects.storage, keys)
        measured = measured_of(self.effects.storage, attempt, record)
        self.effects.fail(run, attempt, state, failure, message, decision, measured)

    def _close(self, run: Run, attempt: Attempt, record: ExitRecord) -> None:
        if record.finished:
            measured = measured_of(self.effects.storage, attempt, record)
            self._ended.append(Ended(run=run, attempt=attempt, measured=measured))
            return
        failure = record.failure or FailureClass.BUG
        self._recover(run, attempt, AttemptState.FAILED, failure, record.message, record)

    def _finish(self) -> None:
        """Write what was seen to have finished."""
        if self._ended:
            self.effects.finish(self._ended)

    def _lost(self, run: Run, attempt: Attempt, message: str) -> None:
        self._recover(run, attempt, AttemptState.LOST, FailureClass.INFRASTRUCTURE, message, None)

    def _recover(
        self,
        run: Run,
        attempt: Attempt,
        state: AttemptState,
        failure: FailureClass,
        message: str,
        record: ExitRecord | None,
    ) -> None:
        storage = self.effects.storage
        if failure is FailureClass.INFRASTRUCTURE:
            self.ground.doubt()
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

    def _place(self) -> None:
        began = self.clock()
        ledger = self.effects.ledger
        now = ledger.now()
        seen = Seen(ledger, self.caps)
        cluster = seen.cluster(self.ground.inventory.nodes())
        if not something_free(cluster):
            return
        jobs = self._queue.jobs(ledger, now, self.suite_key, seen.job_of)
        if not jobs:
            return
        decided = starts(jobs, cluster, now / 3600)
        self.decided(self.clock() - began)
        for first in range(0, len(decided), AT_ONCE):
            self._despite_trouble(self._start, decided[first : first + AT_ONCE])

    def _start(self, decided: Sequence[Start]) -> None:
        """Start some: first all intents are written, then each is launched."""
        ledger, storage = self.effects.ledger, self.effects.storage
        runs = ledger.runs([start.placement.run_id for start in decided])
        behind = ledger.attempts_behind(list(runs.values()))
        names = self._queue.labels(row.placement.run_id for start in decided for row in start.named)
        starting = [
            Starting(
                run=runs[run_id],
                placement=start.placement,
                marker=newest_checkpoint(storage, behind[run_id]),
                why=words_of_start(start, names),
            )
            for start in decided
            if (run_id := start.placement.run_id) in runs
        ]
        started = self.effects.start(starting)
        for run, _ in started:
            self._queue.forget(run.run_id)
        self._launch(started)

    def _launch(self, started: Sequence[tuple[Run, Attempt]]) -> None:
        """Launch attempts whose intents are written: first all specs, then one after another."""
        fresh: list[LaunchSpec] = []
        going: list[LaunchSpec] = []
        for run, attempt in started:
            self._despite_trouble(self._prepare, run, attempt, fresh, going)
        self.effects.write(fresh)
        for spec in going:
            self._despite_trouble(self.effects.launch, spec)

    def _prepare(
        self, run: Run, attempt: Attempt, fresh: list[LaunchSpec], going: list[LaunchSpec]
    ) -> None:
        """Add what is launched for an attempt; a spec that lies in storage already counts."""
        gone = self.ground.gone(attempt.nodes)
        if gone:
            self._withdraw(run, attempt, _stopped(f"{', '.join(gone)} went before it began"))
            return
        try:
            spec = read_record(self.effects.storage, LaunchSpec, keys_of(attempt).spec)
            if spec is None:
                spec = launch_spec(run, attempt, self.workspace, self.ground.ray_ids)
                fresh.append(spec)
        except UserError as error:
            # What was submitted is not what this code runs, whoever tries it again.
            self._recover(run, attempt, AttemptState.FAILED, FailureClass.USER, str(error), None)
        except DamagedError as error:
            self._lost(run, attempt, str(error))
        else:
            going.append(spec)


@contextmanager
def _left_alone() -> Iterator[None]:
    """Without looking for garbage: a step makes so many objects from a long queue that all of them
    would be looked through several times; it took a fifth of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def work_of(folder: str) -> str:
    """Name of the sign that an attempt does something, beside that of its life."""
    return f"{folder} work"


def _stopped(reason: str) -> Decision:
    return Decision(retry=True, reason=reason)
