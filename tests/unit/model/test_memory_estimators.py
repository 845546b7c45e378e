"""The pure parts of the comparison with other tools' estimators."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.estimators.tools import accelerate, counts_of, whole
from benchmarks.estimators.verdicts import Row, groups_of, verdict
from ntlbg_model.config import Config, ModelConfig
from ntlbg_model.footprint import GIB, Step

SIZES = st.floats(0.1, 200)
BF16 = Step(precision="bf16", attention="sdpa")


def row(reference: float, predicted: float | None, group: str = "g") -> Row:
    """One step and what a tool says of it."""
    return Row(name="n", group=group, reference=reference, predictions={"tool": predicted})


def test_decisions_are_counted_by_card() -> None:
    rows = [row(35, 25), row(35, 90), row(20, 20), row(50, None)]
    found = verdict(rows, "tool", (30.0, 40.0, 80.0))
    assert found is not None
    assert (found.steps, found.decisions) == (3, 9)
    assert (found.false_fits, found.false_refusals) == (1, 2)
    assert found.lowest == pytest.approx(25 / 35) and found.highest == pytest.approx(90 / 35)
    assert found.median == 1.0


def test_a_tool_without_answers_has_no_verdict() -> None:
    assert verdict([row(1, None)], "tool", (1.0,)) is None
    assert row(1, None).ratio("tool") is None


@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=20), st.lists(SIZES, max_size=4))
def test_who_predicts_more_refuses_more(
    pairs: list[tuple[float, float]], limits: list[float]
) -> None:
    low = verdict([row(real, said) for real, said in pairs], "tool", limits)
    high = verdict([row(real, 2 * said) for real, said in pairs], "tool", limits)
    exact = verdict([row(real, real) for real, _ in pairs], "tool", limits)
    assert low is not None and high is not None and exact is not None
    assert high.false_fits <= low.false_fits and high.false_refusals >= low.false_refusals
    assert exact.false_fits == exact.false_refusals == 0 and exact.median == 1


def test_groups_keep_their_order_and_end_with_all() -> None:
    rows = [row(1, 1, "b"), row(1, 1, "a"), row(1, 1, "b")]
    assert {name: len(members) for name, members in groups_of(rows).items()} == {
        "b": 2,
        "a": 1,
        "all": 3,
    }
    assert list(groups_of(rows)) == ["b", "a", "all"]


def test_accelerate_is_asked_for_the_whole_model_and_knows_no_sharding() -> None:
    config = Config(model=ModelConfig(base_model="tiny", tuning="full"))
    found = accelerate(*whole(config), BF16)
    # Its figure is the largest of three parts: two moments in fp32.
    assert found is not None
    assert math.isclose(found * GIB / 8, counts_of(config).all, rel_tol=0.01)
    sharded = Step(precision="bf16", attention="sdpa", zero_stage=3, workers=8)
    assert accelerate(*whole(config), sharded) is None


def test_counts_tell_trained_from_frozen() -> None:
    lora, full = (
        counts_of(Config(model=ModelConfig(tuning=tuning)))  # type: ignore[arg-type]
        for tuning in ("lora", "full")
    )
    assert lora.trained < 0.02 * lora.all and full.trained > 0.9 * full.all
    assert 7e9 < full.all < lora.all < 9e9
