"""The model of torch's caching allocator: its sizes, and what it must hold."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.tracing.allocator import MIB, CachingAllocator, DeviceFullError, held_by, replay
from ntlbg_model.tracing.storages import Block

sizes = st.integers(min_value=1, max_value=64 * MIB)


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MIB),
        (MIB, MIB, 2 * MIB),
        (MIB + 1, MIB + 512, 20 * MIB),
        (10 * MIB, 10 * MIB, 10 * MIB),
        (11 * MIB + 1, 12 * MIB, 12 * MIB),
    ],
)
def test_sizes_are_torchs(size: int, allocated: int, reserved: int) -> None:
    """A rest of less than 1 MiB stays with a large block."""
    device = CachingAllocator()
    device.take(size)
    assert (device.allocated, device.reserved) == (allocated, reserved)


def test_the_best_fitting_free_block_is_taken_and_split() -> None:
    device = CachingAllocator()
    wide, narrow = device.take(40 * MIB), device.take(24 * MIB)
    device.give(wide)
    device.give(narrow)
    assert device.take(20 * MIB)[0] == narrow[0]
    assert device.reserved == 64 * MIB


def test_free_neighbours_join() -> None:
    device = CachingAllocator()
    parts = [device.take(5 * MIB) for _ in range(4)]
    for part in (parts[1], parts[3], parts[0], parts[2]):
        device.give(part)
    assert device.take(20 * MIB) == (parts[0][0], 0)
    assert device.reserved == 20 * MIB


def test_a_full_device_gives_back_what_is_wholly_free_and_no_more() -> None:
    device = CachingAllocator(capacity=62 * MIB)
    whole, part = device.take(20 * MIB), device.take(12 * MIB)
    device.take(4 * MIB)
    device.give(whole)
    device.take(30 * MIB - 1)
    device.give(part)
    with pytest.raises(DeviceFullError):
        device.take(17 * MIB)


@given(st.lists(st.tuples(sizes, st.integers(0, 30)), min_size=1, max_size=40))
def test_blocks_never_overlap_and_nothing_is_lost(asked: list[tuple[int, int]]) -> None:
    device, live = CachingAllocator(), []
    for size, gone in asked:
        live.append((device.take(size), size))
        if gone % 3 == 0:
            device.give(live.pop(gone % len(live))[0])
        spans = sorted((place[0], place[1], place[1] + size) for place, size in live)
        for (segment, _, end), (other, start, _) in pairwise(spans):
            assert segment != other or end <= start
        assert sum(size for _, size in live) <= device.allocated <= device.reserved
    for place, _ in live:
        device.give(place)
    assert device.allocated == 0


@st.composite
def programs(draw: st.DrawFn) -> list[Block]:
    born = draw(st.lists(st.tuples(sizes, st.integers(1, 20)), min_size=1, max_size=25))
    return [
        Block(size=size, born=2 * number, kind="other", died=2 * (number + life) + 1)
        for number, (size, life) in enumerate(born)
    ]


@given(programs())
def test_the_least_capacity_serves_and_lies_between_asked_and_held(program: list[Block]) -> None:
    held = held_by([program, program])
    assert held.allocated <= held.needed <= held.reserved
    replay(CachingAllocator(held.needed), [program, program])
    with pytest.raises(DeviceFullError):
        replay(CachingAllocator(held.allocated - 20 * MIB), [program, program])


def test_gradients_stay_from_one_micro_batch_to_the_next() -> None:
    first = [Block(size=30 * MIB, born=1, kind="gradients")]
    later = [Block(size=50 * MIB, born=1, kind="other", died=2)]
    assert held_by([first, later]).allocated == 80 * MIB
