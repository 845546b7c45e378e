"""Current status of runs, from the ledger and from the objects of their newest attempts."""

from collections.abc import Sequence
from dataclasses import dataclass

from ntlbg_service.domain.errors import InfrastructureError, in_one_line
from ntlbg_service.domain.launch import Heartbeat, MetricLine, Work
from ntlbg_service.domain.liveness.pace import seconds_left, seconds_per_step
from ntlbg_service.domain.recovery import UNLIMITED, Hours
from ntlbg_service.domain.states import TERMINAL, DesiredState, RunState
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt, Run, RunSummary
from ntlbg_service.results.attempts import damaged_objects, hours_of, read_exit
from ntlbg_service.storage.layout import AttemptKeys
from ntlbg_service.storage.local import Storage
from ntlbg_service.storage.typed_records import read_intact, read_records


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Current status of one run."""

    run: RunSummary
    attempts: tuple[Attempt, ...]
    step: int = 0
    steps: int = 0
    """Total steps of the run; 0 if it trains nothing."""
    loss: float | None = None
    answered: int = 0
    trials: tuple[int, int] | None = None
    """Numbers of ended trials and of all trials of a running sweep; None for other runs."""
    pace: float | None = None
    """Measured seconds per step; None if not measured."""
    heartbeat: Heartbeat | None = None
    heartbeat_age: float | None = None
    """Seconds since the newest heartbeat; None before the first one."""
    hours: Hours = UNLIMITED
    """Hours used, and the limit of hours."""
    damaged: tuple[str, ...] = ()
    """Unreadable objects of the newest attempt of a running run, in words."""
    unread: str = ""
    """Reason that storage could not be read; empty if it was."""

    @property
    def staging(self) -> str:
        """Files that are staged to the nodes before the run starts, in words; else empty."""
        running = self.run.state is RunState.RUNNING
        return self.heartbeat.staging if running and self.heartbeat else ""

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def peak_mib(self) -> float | None:
        """Measured memory peak of the newest attempt so far; None if not measured."""
        if self.attempt is not None and self.attempt.measured.peak_mib is not None:
            return self.attempt.measured.peak_mib
        return self.heartbeat.peak_memory_mib if self.heartbeat else None

    @property
    def training_left(self) -> float | None:
        """Seconds until the last training step at the measured pace; None if not known."""
        if self.run.state is not RunState.RUNNING or not self.steps:
            return None
        return seconds_left(self.step, self.steps, self.pace)

    @property
    def doing(self) -> str:
        """Status of the run in one phrase for users."""
        return f"{self._doing}; {self.unread}" if self.unread else self._doing

    @property
    def _doing(self) -> str:
        if self.run.state not in TERMINAL and self.run.wanted is not DesiredState.RUN:
            stopping = self.run.state is RunState.RUNNING
            return f"{self.run.wanted} asked for" if stopping else "paused"
        if self.run.state is not RunState.RUNNING:
            return f"{self.run.state}: {self.run.reason}" if self.run.reason else self.run.state
        return ", ".join(filter(None, (self._stage, self.hours.words, *self.damaged)))

    @property
    def _stage(self) -> str:
        """Current stage of a running run."""
        if self.trials is not None:
            return f"{self.trials[0]} of {self.trials[1]} trials ended"
        if self.staging:
            return f"staging, {self.staging}"
        if self.answered:
            return f"answering ({self.answered} questions)"
        if self.step >= self.steps > 0:
            return "evaluating"
        if self.step:
            loss = "" if self.loss is None else f", loss {self.loss:.3f}"
            return f"training {self.step}/{self.steps}{loss}{self._waits}"
        return "starting"

    @property
    def _waits(self) -> str:
        """Checkpoint write that blocks the training, in words; else empty."""
        awaited = self.heartbeat.awaited if self.heartbeat else 0
        return f", writing the checkpoint of step {awaited}" if awaited else ""


def run_statuses(ledger: Ledger, storage: Storage, runs: Sequence[RunSummary]) -> list[RunStatus]:
    """Return the status of each run.

    Reads config and details only of runs that are running or have a limit of hours.
    """
    attempts = ledger.attempts_by_run([run.run_id for run in runs])
    whole = ledger.runs([run.run_id for run in runs if _in_storage(run)])
    return [
        _read(storage, whole[run.run_id], attempts[run.run_id])
        if run.run_id in whole
        else RunStatus(run=run, attempts=attempts[run.run_id])
        for run in runs
    ]


def _in_storage(run: RunSummary) -> bool:
    """Return True if storage has more of the status than the ledger."""
    return run.state is RunState.RUNNING or run.max_hours is not None


def run_status(ledger: Ledger, storage: Storage, run: RunSummary) -> RunStatus:
    """Return the status of a run; read storage only if it is running or has a limit of hours."""
    return run_statuses(ledger, storage, [run])[0]


def _read(storage: Storage, run: Run, attempts: tuple[Attempt, ...]) -> RunStatus:
    """Return the status of a run; a read error is kept in `unread`, so others are still listed."""
    try:
        return _standing(storage, run, attempts)
    except InfrastructureError as error:
        return RunStatus(run=run, attempts=attempts, unread=in_one_line(str(error)))


def _standing(storage: Storage, run: Run, attempts: tuple[Attempt, ...]) -> RunStatus:
    hours = hours_of(storage, run, attempts)
    if run.state is not RunState.RUNNING or not attempts:
        return RunStatus(run=run, attempts=attempts, hours=hours)
    keys = AttemptKeys(run.run_id, attempts[-1].number)
    if run.work is Work.SWEEP:
        trials = _trials(storage, run, keys)
        return RunStatus(run=run, attempts=attempts, trials=trials, hours=hours)
    rows = read_records(storage, MetricLine, keys.metrics)
    lines = [line for line in rows if "train/loss" in line.values]
    heartbeat = read_intact(storage, Heartbeat, keys.heartbeat)
    steps = [line.step for line in lines[-1:]] + ([heartbeat.step] if heartbeat else [])
    return RunStatus(
        run=run,
        attempts=attempts,
        step=max(steps, default=0),
        steps=run.config["training"]["max_steps"],
        loss=lines[-1].values["train/loss"] if lines else None,
        answered=_answered(storage, run, keys),
        pace=seconds_per_step([(line.step, line.time) for line in lines]),
        heartbeat=heartbeat,
        heartbeat_age=storage.age(keys.heartbeat),
        hours=hours,
        damaged=damaged_objects(storage, keys),
    )


def _answered(storage: Storage, run: Run, keys: AttemptKeys) -> int:
    sets = run.config["data"]["evaluation"]
    return sum(1 for each in sets for _ in storage.lines(keys.predictions(each["name"])))


def _trials(storage: Storage, run: Run, keys: AttemptKeys) -> tuple[int, int]:
    names = [trial["name"] for trial in run.details["trials"]]
    ended = sum(read_exit(storage, keys.trial(name)) is not None for name in names)
    return ended, len(names)
