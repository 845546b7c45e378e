"""What runs are judged by: which way is better, and what several data sets come to."""

from typing import Any, get_args

import pytest

from ntlbg_model.config import Metric
from ntlbg_service.domain.launch import ExitRecord
from ntlbg_service.domain.measures import MEASURES


def ended(**changes: Any) -> ExitRecord:
    values = {"run_id": "r", "attempt": 1, "finished": True, "ended_at": 1.0} | changes
    return ExitRecord(**values)


def test_every_metric_has_a_measure() -> None:
    assert tuple(MEASURES) == get_args(Metric)
    assert all(measure.metric == name for name, measure in MEASURES.items())


@pytest.mark.parametrize(
    ("metric", "best"),
    [
        ("accuracy", "high"),
        ("needle_recall", "high"),
        ("visual_tokens", "low"),
        ("seconds_per_question", "low"),
        ("peak_memory_mib", "low"),
    ],
)
def test_the_best_is_the_highest_of_what_is_good_and_the_lowest_of_what_costs(
    metric: Metric, best: str
) -> None:
    assert MEASURES[metric].best({"middle": 2.0, "high": 3.0, "low": 1.0}) == best


def test_of_equals_the_first_is_best() -> None:
    assert MEASURES["accuracy"].best({"a": 1.0, "b": 1.0}) == "a"
    assert MEASURES["visual_tokens"].best({"a": 1.0, "b": 1.0}) == "a"


def test_data_sets_count_by_their_weights() -> None:
    record = ended(results={"x/accuracy": 0.5, "y/accuracy": 1.0, "x/questions": 9.0})
    accuracy = MEASURES["accuracy"]
    assert accuracy.score(record, {"x": 3.0, "y": 1.0}) == pytest.approx(0.625)
    # What was not measured takes no part.
    assert accuracy.score(record, {"x": 3.0, "z": 5.0}) == 0.5
    assert accuracy.score(record, {"z": 5.0}) is None


def test_memory_is_the_runs_own() -> None:
    memory = MEASURES["peak_memory_mib"]
    assert memory.score(ended(peak_memory_mib=900.0), {"x": 1.0}) == 900.0
    assert memory.score(ended(), {"x": 1.0}) is None


def test_what_did_not_finish_has_no_score() -> None:
    record = ended(finished=False, results={"x/accuracy": 0.5})
    assert MEASURES["accuracy"].score(record, {"x": 1.0}) is None
