"""The state machine of runs."""

import pytest

from ntlbg_service.domain.errors import (
    CapacityError,
    InfrastructureError,
    NtlbgError,
    RunsFailedError,
    UserError,
)
from ntlbg_service.domain.states import (
    RUN_TRANSITIONS,
    TERMINAL,
    RunState,
    TransitionError,
    check_transition,
)


def test_terminal_states_never_change() -> None:
    assert {state for state, after in RUN_TRANSITIONS.items() if not after} == TERMINAL
    for state in TERMINAL:
        for new in RunState:
            with pytest.raises(TransitionError):
                check_transition(state, new)


def test_every_state_is_described_and_can_be_reached() -> None:
    assert set(RUN_TRANSITIONS) == set(RunState)
    reached = {RunState.QUEUED}
    while True:
        further = reached.union(*(RUN_TRANSITIONS[state] for state in reached))
        if further == reached:
            break
        reached = further
    assert reached == set(RunState)


def test_a_run_goes_its_way() -> None:
    check_transition(RunState.QUEUED, RunState.RUNNING)
    check_transition(RunState.RUNNING, RunState.QUEUED)
    check_transition(RunState.RUNNING, RunState.FINISHED)
    with pytest.raises(TransitionError, match="a run cannot go from queued to finished"):
        check_transition(RunState.QUEUED, RunState.FINISHED)


def test_each_family_of_errors_has_an_exit_code() -> None:
    families = (NtlbgError, UserError, CapacityError, InfrastructureError, RunsFailedError)
    assert [family.exit_code for family in families] == [1, 2, 3, 4, 5]
