"""Seconds of a step, from the times of metric lines."""

from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.liveness.pace import LOOKED_AT, seconds_left, seconds_per_step


@given(st.floats(0.01, 1000), st.lists(st.integers(1, 50), min_size=2, max_size=40))
def test_an_even_pace_is_found(pace: float, gaps: list[int]) -> None:
    steps = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    found = seconds_per_step([(step, 1000 + pace * step) for step in steps])
    assert found is not None and abs(found / pace - 1) < 1e-3
    left = seconds_left(steps[-1], steps[-1] + 10, found)
    assert left is not None and abs(left - 10 * found) < 1e-6
    assert seconds_left(50, 10, found) == 0


def test_only_the_newest_lines_count() -> None:
    slow = [(step, 100.0 * step) for step in range(100)]
    fast = [(100 + step, 10_000.0 + step) for step in range(LOOKED_AT)]
    assert seconds_per_step(slow + fast) == 1.0


def test_what_was_not_measured_is_not_guessed() -> None:
    assert seconds_per_step([]) is None
    assert seconds_per_step([(5, 1.0)]) is None
    assert seconds_per_step([(5, 1.0), (5, 3.0)]) is None
    assert seconds_per_step([(5, 9.0), (6, 3.0)]) is None
    assert seconds_left(1, 5, None) is None
