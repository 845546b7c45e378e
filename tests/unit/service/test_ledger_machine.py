"""Any order of operations on a ledger, against a model of what it should say."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.states import (
    TERMINAL,
    AttemptState,
    DesiredState,
    RunState,
    TransitionError,
)
from ntlbg_service.domain.users import NotAllowedError
from ntlbg_service.ledger.database import open_database
from ntlbg_service.ledger.integrity import check
from ntlbg_service.ledger.ledger import Ledger
from ntlbg_service.ledger.records import Attempt
from tests.support.attempts import start_attempt
from tests.support.builders import SUITE, Ticks, cpu_fit, new_run, tiny_config

FIT = cpu_fit(tiny_config())
SEEDS = st.integers(0, 2)
ENDS = st.sampled_from(
    [
        (AttemptState.LOST, RunState.QUEUED),
        (AttemptState.INTERRUPTED, RunState.QUEUED),
        (AttemptState.FAILED, RunState.QUEUED),
        (AttemptState.FINISHED, RunState.FINISHED),
        (AttemptState.FAILED, RunState.FAILED),
        (AttemptState.LOST, RunState.LOST),
        (AttemptState.INTERRUPTED, RunState.CANCELLED),
    ]
)


@dataclass
class Expected:
    """What the ledger should say of a run."""

    state: RunState = RunState.QUEUED
    wanted: DesiredState = DesiredState.RUN
    attempts: list[AttemptState] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Operations of people and controllers in any order, also where they are refused."""

    ledger: Ledger
    engine: Any

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[str, Expected] = {}
        self.stale: list[Attempt] = []
        self.batch = Machine.batch = getattr(Machine, "batch", 0) + 1

    def pick(self, seed: int) -> str:
        """A run of this example."""
        return list(self.runs)[seed % len(self.runs)]

    @initialize()
    def begin(self) -> None:
        """Something to work on, the first of it at work."""
        self.submit(1)
        self.submit(2)
        self.start(0)

    @rule(seed=SEEDS)
    def submit(self, seed: int) -> None:
        """Submitting makes a run where there is none, else changes nothing."""
        done = self.ledger.submit(SUITE, [new_run(f"v{self.batch}", seed)])
        for run_id in done.new:
            assert run_id not in self.runs
            self.runs[run_id] = Expected()

    @rule(seed=SEEDS)
    def start(self, seed: int) -> None:
        """Only what waits is started."""
        run_id = self.pick(seed)
        run, expected = self.ledger.run(run_id), self.runs[run_id]
        if expected.state is not RunState.QUEUED:
            with pytest.raises(TransitionError):
                start_attempt(self.ledger, run, FIT, None, "local", "")
            return
        attempt = start_attempt(self.ledger, run, FIT, None, "local", "")
        self.stale.append(attempt)
        expected.attempts.append(AttemptState.LAUNCHED)
        expected.state = RunState.RUNNING

    @rule(which=st.integers(0, 20), end=ENDS)
    def end(self, which: int, end: tuple[AttemptState, RunState]) -> None:
        """An attempt ends once, however often and whenever its end is told."""
        attempt = self.stale[which % len(self.stale)]
        expected, (state, becomes) = self.runs[attempt.run_id], end
        if expected.attempts[attempt.number - 1] is not AttemptState.LAUNCHED:
            with pytest.raises(TransitionError):
                self.ledger.end_attempt(attempt, state, becomes)
            return
        if becomes is RunState.QUEUED and expected.wanted is DesiredState.CANCEL:
            becomes = RunState.CANCELLED
        assert self.ledger.end_attempt(attempt, state, end[1]) is becomes
        expected.attempts[-1], expected.state = state, becomes

    @rule(
        seed=SEEDS,
        wanted=st.sampled_from([DesiredState.CANCEL, DesiredState.PAUSE, DesiredState.RUN]),
    )
    def wish(self, seed: int, wanted: DesiredState) -> None:
        """A wish is kept; one to cancel what waits is fulfilled at once."""
        run_id = self.pick(seed)
        expected = self.runs[run_id]
        cancelled = (expected.state, wanted) == (RunState.CANCELLED, DesiredState.CANCEL)
        if expected.state in TERMINAL and not cancelled:
            with pytest.raises(UserError):
                self.ledger.request(run_id, wanted, "ada")
            return
        if expected.state is RunState.QUEUED and wanted is DesiredState.CANCEL:
            expected.state = RunState.CANCELLED
        expected.wanted = expected.wanted if cancelled else wanted
        assert self.ledger.request(run_id, wanted, "ada") is expected.state

    @rule(seed=SEEDS, wanted=st.sampled_from(list(DesiredState)))
    def another_wishes(self, seed: int, wanted: DesiredState) -> None:
        """What is another's is refused, in whatever state it is, and changes nothing."""
        run_id = self.pick(seed)
        wishes = (
            lambda: self.ledger.request(run_id, wanted, "bob"),
            lambda: self.ledger.prioritise(run_id, 3, "bob"),
            lambda: self.ledger.requeue(run_id, "bob"),
        )
        before = self.ledger.events_of(run_id)
        for wish in wishes:
            with pytest.raises(NotAllowedError):
                wish()
        assert self.ledger.events_of(run_id) == before

    @rule(seed=SEEDS)
    def repeat(self, seed: int) -> None:
        """Only what ended is repeated, as another run."""
        run_id = self.pick(seed)
        if self.runs[run_id].state not in TERMINAL:
            with pytest.raises(UserError):
                self.ledger.requeue(run_id, "ada")
            return
        repeated = self.ledger.requeue(run_id, "ada")
        assert repeated != run_id or self.runs[run_id].state not in TERMINAL
        self.runs.setdefault(repeated, Expected())
        assert self.runs[repeated].state not in TERMINAL

    @invariant()
    def the_ledger_says_what_happened(self) -> None:
        """States, wishes and attempts are those of the model."""
        for run_id, expected in self.runs.items():
            run = self.ledger.run(run_id)
            assert (run.state, run.wanted) == (expected.state, expected.wanted)
            states = [attempt.state for attempt in self.ledger.attempts_of(run_id)]
            assert states == expected.attempts

    def teardown(self) -> None:
        """Whatever was done, the ledger is sound."""
        assert check(self.engine).problems == ()


def test_any_order_of_operations(ledger_url: str) -> None:
    engine = open_database(ledger_url)

    class Here(Machine):
        pass

    Here.engine, Here.ledger = engine, Ledger(engine, Ticks())
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    engine.dispose()
