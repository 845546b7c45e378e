"""The plan beside what happened: every difference has its reason."""

from typing import Any

import pytest

from ntlbg_service.domain.planning.agreement import (
    Happened,
    Planned,
    Tried,
    Where,
    compare,
    planned_runs,
)

A1, A2, V1 = (Where(kind, (node,), 1) for kind, node in (("A", "a1"), ("A", "a2"), ("V", "v1")))


def plan(**runs: tuple[Where, float, float]) -> dict[str, Planned]:
    return {name: Planned(where=w, start=start, end=end) for name, (w, start, end) in runs.items()}


def ran(name: str, *attempts: Tried, **changes: Any) -> Happened:
    return Happened(**{"name": name, "state": "finished", "attempts": attempts, **changes})


def on(where: Where, start: float = 0.0, end: float | None = 1.0, **changes: Any) -> Tried:
    return Tried(where=where, start=start, end=end, **changes)


def test_a_run_that_is_where_it_was_to_be_agrees_whenever_it_came() -> None:
    both = Where("A", ("a1", "a2"), 2)
    turned = both._replace(nodes=("a2", "a1"))
    (row,) = compare(plan(x=(both, 0.0, 1.0)), [ran("x", on(turned, 3.0))])
    assert row.agrees and not row.why and row.used == turned
    assert both.words == "A x 2 on a1, a2" and Where("A", (), 1).words == "A on any node"


LATE = plan(x=(A1, 0.5, 1.0), y=(A1, 0.0, 0.5), z=(V1, 0.0, 2.0))


@pytest.mark.parametrize(
    ("happened", "why"),
    [
        ([ran("w", on(A1))], "the plan of the last submission does not have it"),
        ([ran("x", state="queued")], "has not started: queued"),
        ([ran("x", on(A2), excluded=("a1",))], "kept off a1 after it was lost there"),
        ([ran("x", on(A1), on(V1, planned_fit=False))], "memory ran out, and the next settings"),
        ([ran("x", on(A1, ended="node a1 died"), on(A2))], "attempt 2, after: node a1 died"),
        (
            [ran("x", on(V1, 0.2)), ran("z", on(V1, 0.0, 0.1))],
            "v1 was free at 0.20 h, when z had ended there (0.10 h, planned for 2.00 h); the plan "
            "had it start at 0.50 h on a1",
        ),
        (
            [ran("x", on(A2, 0.6)), ran("y", on(A1, 0.0, 4.0))],
            "a1 was held by y when its turn came",
        ),
        ([ran("x", on(A2, 0.6)), ran("y", on(A1, 0.0, None))], "a1 was held by y when"),
        ([ran("x", on(A2, 0.1))], "a2 was free at 0.10 h; the plan had it start at 0.50 h"),
        ([ran("x", on(A2, 0.7))], "a1 was not there, not usable or held by another suite"),
    ],
)
def test_a_run_that_is_elsewhere_says_why(happened: list[Happened], why: str) -> None:
    row = compare(LATE, happened)[0]
    assert not row.agrees and row.why.startswith(why)


def test_the_plan_is_that_of_the_record() -> None:
    row = {
        "group": "g",
        "variant": "v",
        "seed": 3,
        "nodes": ["a1"],
        "start_hours": 0.5,
        "end_hours": 1.0,
        "fit": {"profile": "A", "workers": 1},
    }
    assert planned_runs({"runs": [row]}) == plan(**{"g/v:3": (A1, 0.5, 1.0)})
    assert planned_runs({}) == {}
