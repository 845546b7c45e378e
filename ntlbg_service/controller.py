"""Observe, decide with the domain, act through adapters. Stateless: kill it, start it again."""

from dataclasses import dataclass

from ntlbg_model.config import Config
from ntlbg_service.domain.cluster import Cluster, Job, Placement, Running
from ntlbg_service.domain.inventory import Node
from ntlbg_service.domain.launch import ExitRecord, LaunchSpec, Trial, to_json
from ntlbg_service.domain.recovery import Ended, FailureClass, decide
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.schedule import schedule
from ntlbg_service.domain.states import TERMINAL, AttemptState, RunState
from ntlbg_service.executors.contract import Executor, LaunchStatus
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run
from ntlbg_service.results import newest_checkpoint, read_exit
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage
from ntlbg_service.workspace import Workspace

OVERDUE = 0.1
"""Share of its predicted hours that a run is thought to need still when they have passed."""
A_SECOND = 1 / 3600
"""Least hours that something running is thought to need."""


@dataclass(frozen=True)
class Controller:
    """Drives the runs of one suite, or of the whole ledger, to their ends."""

    ledger: Ledger
    storage: Storage
    executor: Executor
    workspace: Workspace
    nodes: tuple[Node, ...]
    """Where runs may go."""
    suite_key: str | None = None

    def step(self) -> bool:
        """One reconciliation. False when every run it drives has ended.

        It looks at every active attempt, since one that another suite's killed controller left
        behind holds a place; it starts only runs of its own.
        """
        for attempt in self.ledger.active_attempts():
            self._observe(attempt)
        self._place()
        return bool(
            self.ledger.active_attempts(self.suite_key) or self.ledger.queued(self.suite_key)
        )

    def interrupt(self) -> None:
        """Stop what runs; the same command goes on from the newest checkpoints."""
        for attempt in self.ledger.active_attempts(self.suite_key):
            self.executor.stop(_keys(attempt))
            record = read_exit(self.storage, _keys(attempt))
            if record is not None:
                self._close(attempt, record)
            else:
                self.ledger.end_attempt(
                    attempt,
                    AttemptState.INTERRUPTED,
                    RunState.QUEUED,
                    failure=FailureClass.INTERRUPTED,
                    reason="stopped by the service",
                )

    def _observe(self, attempt: Attempt) -> None:
        keys = _keys(attempt)
        record = read_exit(self.storage, keys)
        if record is None:
            status = self.executor.status(keys)
            run = self.ledger.run(attempt.run_id)
            if status is LaunchStatus.ABSENT and self.suite_key in (None, run.suite_key):
                self._launch(run, attempt)
                return
            if status is LaunchStatus.RUNNING:
                return
            record = read_exit(self.storage, keys)
        if record is None:
            self._lost(attempt)
        else:
            self._close(attempt, record)

    def _close(self, attempt: Attempt, record: ExitRecord) -> None:
        if record.finished:
            self.ledger.end_attempt(attempt, AttemptState.FINISHED, RunState.FINISHED)
            self._suite_end(attempt)
        else:
            failure = record.failure or FailureClass.BUG
            self._recover(attempt, AttemptState.FAILED, failure, record.message)

    def _lost(self, attempt: Attempt) -> None:
        message = "the driver ended without an exit record"
        self._recover(attempt, AttemptState.LOST, FailureClass.INFRASTRUCTURE, message)

    def _recover(
        self, attempt: Attempt, state: AttemptState, failure: FailureClass, message: str
    ) -> None:
        earlier = self.ledger.attempts_of(attempt.run_id)[:-1]
        failures = [past.failure for past in earlier if past.failure is not None]
        decision = decide([Ended(failure=past) for past in (*failures, failure)])
        self.ledger.end_attempt(
            attempt,
            state,
            RunState.QUEUED if decision.retry else RunState.FAILED,
            failure=failure,
            message=message,
            reason=decision.reason if decision.retry else message,
        )
        if not decision.retry:
            self._suite_end(attempt)

    def _suite_end(self, attempt: Attempt) -> None:
        suite_key = self.ledger.run(attempt.run_id).suite_key
        if all(run.state in TERMINAL for run in self.ledger.current_runs(suite_key)):
            self.ledger.post("suite_finished", suite_key)

    def _place(self) -> None:
        waiting = {run.run_id: run for run in self.ledger.queued(self.suite_key)}
        jobs = [Job(run_id=run.run_id, fits=run.fits, group=run.group) for run in waiting.values()]
        for placement in schedule(jobs, self._cluster()) if jobs else ():
            self._start(waiting[placement.run_id], placement)

    def _cluster(self) -> Cluster:
        now = self.ledger.now()
        running = tuple(_running(attempt, now) for attempt in self.ledger.active_attempts())
        return Cluster(nodes=self.nodes, running=running)

    def _start(self, run: Run, placement: Placement) -> None:
        marker = newest_checkpoint(self.storage, self.ledger.attempts_of(run.run_id))
        reason = f"on {placement.fit.profile}"
        if marker is not None:
            reason += f", resumes from step {marker.step} of attempt {marker.attempt}"
        attempt = self.ledger.start_attempt(
            run,
            placement.fit,
            marker.path if marker else None,
            self.executor.name,
            reason,
        )
        self._launch(run, attempt)

    def _launch(self, run: Run, attempt: Attempt) -> None:
        spec = launch_spec(run, attempt, self.workspace)
        self.storage.put(_keys(attempt).spec, to_json(spec))
        self.executor.launch(spec)


def _running(attempt: Attempt, now: float) -> Running:
    """An attempt as what it still holds; one that takes longer than predicted may end any time,
    but not at once."""
    left = attempt.fit.hours - (now - attempt.launched_at) / 3600
    placement = Placement(run_id=attempt.run_id, fit=attempt.fit)
    return Running(placement=placement, hours=max(left, OVERDUE * attempt.fit.hours, A_SECOND))


def _keys(attempt: Attempt) -> AttemptKeys:
    return AttemptKeys(attempt.run_id, attempt.number)


def launch_spec(run: Run, attempt: Attempt, workspace: Workspace) -> LaunchSpec:
    """What the runner of an attempt is told."""
    source = f"ledger run {run.run_id}"
    trials = tuple(parse(Trial, trial, source) for trial in run.details.get("trials", ()))
    return LaunchSpec(
        launch_id=attempt.launch_id,
        run_id=run.run_id,
        attempt=attempt.number,
        work=run.work,
        config=parse(Config, run.config, source),
        seed=run.seed,
        fit=attempt.fit,
        storage=str(workspace.storage.resolve()),
        data_root=str(run.details["data_root"]),
        cache=str(workspace.cache.resolve()),
        resume_from=attempt.resume_from,
        trials=trials,
        metric=run.details.get("metric", "accuracy"),
        concurrency=run.details.get("concurrency", 1),
    )
