"""What may be deleted: never the newest, the best, or anything of an attempt that runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_service.domain.retention import Checkpoint, superfluous

checkpoints = st.lists(
    st.builds(
        Checkpoint,
        attempt=st.integers(1, 4),
        step=st.integers(1, 30),
        loss=st.none() | st.floats(0, 10),
    ),
    unique_by=lambda each: (each.attempt, each.step),
)
attempts = st.frozensets(st.integers(1, 4))


@given(checkpoints, attempts, st.integers(1, 5))
def test_what_is_needed_stays(found: list[Checkpoint], active: frozenset[int], keep: int) -> None:
    gone = superfluous(found, active=active, keep=keep)
    assert set(gone) <= set(found) and len(set(gone)) == len(gone)
    assert not [each for each in gone if each.attempt in active]
    if found:
        assert max(found, key=lambda each: (each.step, each.attempt)) not in gone
    losses = [each.loss for each in found if each.loss is not None]
    if losses:
        kept = [each.loss for each in found if each not in gone]
        assert min(losses) in kept
    assert len(found) - len(gone) >= min(keep, len(found))


@given(checkpoints, st.integers(1, 5))
def test_no_more_stays_than_is_needed(found: list[Checkpoint], keep: int) -> None:
    gone = superfluous(found, keep=keep)
    assert len(found) - len(gone) <= keep + 1
    left = [each for each in found if each not in gone]
    assert superfluous(left, keep=keep) == ()


@given(checkpoints, attempts)
def test_keeping_more_deletes_less(found: list[Checkpoint], active: frozenset[int]) -> None:
    fewer = superfluous(found, active=active, keep=3)
    assert set(fewer) <= set(superfluous(found, active=active, keep=1))


def test_keeping_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        superfluous([], keep=0)


@given(checkpoints, st.integers(1, 5), st.data())
def test_what_an_attempt_goes_on_from_stays(
    found: list[Checkpoint], keep: int, data: st.DataObject
) -> None:
    held = data.draw(st.lists(st.sampled_from(found))) if found else []
    gone = superfluous(found, held=held, keep=keep)
    assert not set(held) & set(gone)
    assert set(gone) == set(superfluous(found, keep=keep)) - set(held)
