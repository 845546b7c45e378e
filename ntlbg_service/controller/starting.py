"""Placement of waiting runs, and launch of attempts whose intents are written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ntlbg_service.controller.effects import Effects, PlannedStart
from ntlbg_service.controller.error_isolation import ErrorIsolation
from ntlbg_service.controller.finalizing import AttemptFinalizer
from ntlbg_service.controller.ledger_snapshot import LedgerSnapshot
from ntlbg_service.controller.oom_fallback import ClusterView
from ntlbg_service.controller.queue import Queue
from ntlbg_service.controller.spec import here, launch_spec
from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.launch import LaunchSpec
from ntlbg_service.domain.recovery import FailureClass
from ntlbg_service.domain.scheduling.caps import Caps
from ntlbg_service.domain.scheduling.schedule import something_free
from ntlbg_service.domain.scheduling.starts import Start, starts, words_of_start
from ntlbg_service.domain.states import AttemptState
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.process.workspace import Workspace
from ntlbg_service.results.attempt_outcome import keys_of
from ntlbg_service.results.attempts import newest_checkpoint
from ntlbg_service.storage.local import CorruptRecordError
from ntlbg_service.storage.typed_records import read_record

AT_ONCE = 32
"""Number of runs whose intents to start are written together.

They are launched one after another, and the hours of the last count from the same moment as those
of the first.
"""


@dataclass
class Starter:
    """Starter that places waiting runs on free nodes."""

    effects: Effects
    workspace: Workspace
    ground: ClusterView
    caps: Caps
    suite_key: str | None
    clock: Callable[[], float]
    """Clock in monotonic seconds."""
    decided: Callable[[float], None]
    """Callback with the seconds that one scheduling decision took, starts not included."""
    endings: AttemptFinalizer
    trouble: ErrorIsolation
    _queue: Queue = field(default_factory=Queue)

    def place(self) -> None:
        """Read the queue, and start every run that can start now."""
        began = self.clock()
        ledger = self.effects.ledger
        now = ledger.now()
        seen = LedgerSnapshot(ledger, self.caps)
        cluster = seen.cluster(self.ground.inventory.nodes())
        if not something_free(cluster):
            return
        jobs = self._queue.jobs(ledger, now, self.suite_key, seen.job_of)
        if not jobs:
            return
        decided = starts(jobs, cluster, now / 3600)
        self.decided(self.clock() - began)
        for first in range(0, len(decided), AT_ONCE):
            self.trouble.run(self._start, decided[first : first + AT_ONCE])

    def _start(self, decided: Sequence[Start]) -> None:
        """Start a batch: write all intents first, then launch each."""
        ledger, storage = self.effects.ledger, self.effects.storage
        runs = ledger.runs([start.placement.run_id for start in decided])
        behind = ledger.attempts_behind(list(runs.values()))
        names = self._queue.labels(row.placement.run_id for start in decided for row in start.named)
        starting = [
            PlannedStart(
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
        self.launch(started)

    def launch(self, started: Sequence[tuple[Run, Attempt]]) -> None:
        """Launch attempts whose intents are written: all specs first, then one after another."""
        fresh: list[LaunchSpec] = []
        going: list[LaunchSpec] = []
        for run, attempt in started:
            self.trouble.run(self._prepare, run, attempt, fresh, going)
        try:
            self.effects.write(fresh)
        except CorruptRecordError:  # Some other file blocks one of the specs.
            for run, attempt in started:
                self.trouble.run(self._write, run, attempt, fresh, going)
        for spec in going:
            self.trouble.run(self.effects.launch, spec)

    def _write(
        self, run: Run, attempt: Attempt, fresh: list[LaunchSpec], going: list[LaunchSpec]
    ) -> None:
        """Write the spec of one attempt; where that fails, record the attempt as lost."""
        for spec in [each for each in fresh if each.run_id == run.run_id]:
            try:
                self.effects.write([spec])
            except CorruptRecordError as error:
                going.remove(spec)
                self.endings.lost(run, attempt, str(error))

    def _prepare(
        self, run: Run, attempt: Attempt, fresh: list[LaunchSpec], going: list[LaunchSpec]
    ) -> None:
        """Add the spec to launch for an attempt; a spec already in storage takes precedence."""
        gone = self.ground.gone(attempt.nodes)
        if gone:
            self.endings.withdraw(run, attempt, f"{', '.join(gone)} went before it began")
            return
        try:
            spec = read_record(self.effects.storage, LaunchSpec, keys_of(attempt).spec)
            if spec is not None and (spec.run_id, spec.attempt) != (run.run_id, attempt.number):
                raise CorruptRecordError(f"storage: {keys_of(attempt).spec}: is of another attempt")
            if spec is None:
                spec = launch_spec(run, attempt, self.workspace, self.ground.ray_ids)
                fresh.append(spec)
            elif spec.storage != here(self.workspace):
                reason = "its spec is of where this home lay before, and is not launched here"
                self.endings.withdraw(run, attempt, reason)
                return
        except UserError as error:
            # This code cannot run what was submitted, however often it is retried.
            state, failure = AttemptState.FAILED, FailureClass.USER
            self.endings.recover(run, attempt, state, failure, str(error), None)
        except CorruptRecordError as error:
            self.endings.lost(run, attempt, str(error))
        else:
            going.append(spec)
