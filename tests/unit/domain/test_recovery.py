"""What is tried again and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.recovery import RETRIES, FailureClass, decide

LOST = FailureClass.INFRASTRUCTURE
STOPPED = FailureClass.INTERRUPTED


@pytest.mark.parametrize(
    "failure",
    [
        FailureClass.USER,
        FailureClass.OUT_OF_MEMORY,
        FailureClass.NON_FINITE,
        FailureClass.BUG,
    ],
)
def test_what_would_repeat_itself_is_not_tried_again(failure: FailureClass) -> None:
    decision = decide([failure])
    assert not decision.retry
    assert decision.reason


def test_infrastructure_losses_are_retried_so_often() -> None:
    assert [decide([LOST] * n).retry for n in range(1, RETRIES + 2)] == [True] * RETRIES + [False]
    assert decide([LOST]).reason == "lost to the infrastructure (1 of 3 allowed)"
    assert decide([LOST] * 4).reason == "lost to the infrastructure 4 times, 3 are allowed"


@given(st.lists(st.sampled_from(FailureClass)))
def test_an_interruption_always_goes_on_and_costs_nothing(before: list[FailureClass]) -> None:
    assert decide([*before, STOPPED]).retry
    counted = decide([*before, LOST]).retry
    assert decide([*before, STOPPED, LOST]).retry is counted


@given(st.lists(st.sampled_from(FailureClass), min_size=1))
def test_every_history_has_a_decision_in_words(failures: list[FailureClass]) -> None:
    assert decide(failures).reason
