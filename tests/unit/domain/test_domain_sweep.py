"""The points of a sweep."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.errors import UserError
from ntlbg_service.domain.resolve import parse
from ntlbg_service.domain.sweep import Axis, SweepSpec


def sweep(space: dict[str, Any], **changed: Any) -> SweepSpec:
    values = {"name": "s", "suite": "q.json", "variant": "ntlbg", "space": space}
    return parse(SweepSpec, values | changed, "w.json")


def test_a_grid_is_tried_whole() -> None:
    found = list(sweep({"a": {"values": [1, 2]}, "b": {"values": ["x", "y", "z"]}}).points())
    assert len(found) == 6
    assert found[0] == {"a": 1, "b": "x"}
    assert found[-1] == {"a": 2, "b": "z"}


@given(
    values=st.lists(st.integers(), min_size=1, max_size=4, unique=True),
    samples=st.integers(1, 5),
    seed=st.integers(0, 100),
    scale=st.sampled_from(["linear", "log"]),
)
def test_draws_stay_within_their_bounds_and_repeat_with_the_seed(
    values: list[int], samples: int, seed: int, scale: str
) -> None:
    space = {"a": {"values": values}, "b": {"low": 1e-6, "high": 1e-2, "scale": scale}}
    spec = sweep(space, samples=samples, seed=seed)
    found = list(spec.points())
    assert found == list(spec.points())
    assert len(found) == samples * len(values)
    assert all(1e-6 <= point["b"] <= 1e-2 * (1 + 1e-12) for point in found)
    assert len({point["b"] for point in found}) == len(found)


def test_a_log_scale_draws_evenly_over_decades() -> None:
    axis = Axis(low=1e-4, high=1.0, scale="log")
    source = random.Random(1)
    small = sum(axis.draw(source) < 1e-2 for _ in range(2000))
    assert 900 < small < 1100


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space: must name at least one option"),
        ({"a": {}}, "space.a.values: must stand alone, or low and high together without it"),
        (
            {"a": {"low": 1}},
            "space.a.values: must stand alone, or low and high together without it",
        ),
        (
            {"a": {"values": [1], "low": 1, "high": 2}},
            "space.a.values: must stand alone, or low and high together without it",
        ),
        (
            {"a": {"values": [1], "high": 2}},
            "space.a.values: must stand alone, or low and high together without it",
        ),
        ({"a": {"low": 2, "high": 1}}, "space.a.low: must be below high (1.0), got 2.0"),
        (
            {"a": {"low": 0, "high": 1, "scale": "log"}},
            "space.a.low: must be above 0 on a log scale, got 0.0",
        ),
        ({"a": {"lo": 1}}, "space.a.lo: unknown key; did you mean 'low'?"),
    ],
)
def test_a_wrong_space_is_one_line(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep(space)
    assert str(caught.value) == f"w.json: {message}"


@pytest.mark.parametrize("name", ["samples", "concurrency"])
def test_counts_are_at_least_one(name: str) -> None:
    with pytest.raises(UserError, match=rf"^w\.json: {name}: must be at least 1, got 0$"):
        sweep({"a": {"values": [1]}}, **{name: 0})
