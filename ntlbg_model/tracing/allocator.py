"""What torch's caching allocator must hold to serve a step: a model of its blocks and segments.

After `c10/cuda/CUDACachingAllocator.cpp` of torch 2.13, without expandable segments: sizes are
rounded to 512 bytes; up to 1 MiB they come from segments of 2 MiB, below 10 MiB from segments of
20 MiB, above from segments of their own; the best fitting free block is taken and split where the
rest is worth keeping; neighbours that are both free are joined; when the device is full, segments
that are wholly free go back. No GPU has confirmed the figures.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ntlbg_model.tracing.peaks import STANDING
from ntlbg_model.tracing.storages import Block

MIB = 1024**2
ROUND = 512
SMALL = MIB
"""Up to this size, blocks come from small segments."""
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB
OWN_SEGMENT = 10 * MIB
"""From this size on, a segment is as large as its first block, rounded up to 2 MiB."""
TRIES = 9
"""Halvings of the search for the least capacity."""

Place = tuple[int, int]
"""Segment and offset of a block."""


class DeviceFullError(Exception):
    """Neither a free block nor room for a segment."""


@dataclass
class CachingAllocator:
    """One device's memory, `capacity` bytes of it; None: as much as is asked for."""

    capacity: int | None = None
    reserved: int = 0
    allocated: int = 0
    peak_reserved: int = 0
    peak_allocated: int = 0
    _segments: dict[int, dict[int, int]] = field(default_factory=dict)
    """Segment to offset to size of its blocks, free or not."""
    _free: tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]] = field(
        default_factory=lambda: ([], [])
    )
    """(size, segment, offset) of free blocks in order, large and small."""
    _used: dict[Place, bool] = field(default_factory=dict)
    """Places in use, and whether they are small."""
    _made: int = 0

    def take(self, size: int) -> Place:
        """A block of at least `size` bytes. Raises DeviceFullError."""
        wanted = max(ROUND, -(-size // ROUND) * ROUND)
        small = wanted <= SMALL
        found, segment, offset = self._best(wanted, small) or self._segment(wanted, small)
        rest = found - wanted
        blocks = self._segments[segment]
        if rest >= (ROUND if small else SMALL + ROUND):
            blocks[offset], blocks[offset + wanted] = wanted, rest
            insort(self._free[small], (rest, segment, offset + wanted))
        self._used[segment, offset] = small
        self.allocated += blocks[offset]
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return segment, offset

    def give(self, place: Place) -> None:
        """Free a block, and join it with its neighbours."""
        segment, offset = place
        small, blocks = self._used.pop(place), self._segments[segment]
        size = blocks[offset]
        self.allocated -= size
        if offset + size in blocks and (segment, offset + size) not in self._used:
            size += self._absorbed(small, segment, offset + size)
        before = next((at for at, held in blocks.items() if at + held == offset), None)
        if before is not None and (segment, before) not in self._used:
            size += self._absorbed(small, segment, before)
            del blocks[offset]
            offset = before
        blocks[offset] = size
        insort(self._free[small], (size, segment, offset))

    def _absorbed(self, small: bool, segment: int, offset: int) -> int:
        size = self._segments[segment].pop(offset)
        self._free[small].remove((size, segment, offset))
        return size

    def _best(self, wanted: int, small: bool) -> tuple[int, int, int] | None:
        free = self._free[small]
        at = bisect_left(free, (wanted, -1, -1))
        return free.pop(at) if at < len(free) else None

    def _segment(self, wanted: int, small: bool) -> tuple[int, int, int]:
        if small:
            size = SMALL_SEGMENT
        else:
            own = -(-wanted // SMALL_SEGMENT) * SMALL_SEGMENT
            size = LARGE_SEGMENT if wanted < OWN_SEGMENT else own
        if self._lacks(size):
            self._release()
            if self._lacks(size):
                raise DeviceFullError
        self._made += 1
        self._segments[self._made] = {0: size}
        self.reserved += size
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return size, self._made, 0

    def _lacks(self, size: int) -> bool:
        return self.capacity is not None and self.reserved + size > self.capacity

    def _release(self) -> None:
        """Segments that are wholly free go back to the device."""
        for free in self._free:
            for entry in list(free):
                size, segment, _ = entry
                if len(self._segments[segment]) == 1:
                    free.remove(entry)
                    del self._segments[segment]
                    self.reserved -= size


def replay(allocator: CachingAllocator, micro_batches: Iterable[Sequence[Block]]) -> None:
    """Serve what moves in micro-batches, one after another; gradients stay from the first on that
    makes them, as they do where a step accumulates. Raises DeviceFullError."""
    for blocks in micro_batches:
        held: dict[int, Place] = {}
        for _, comes, number in _events(blocks):
            if comes:
                held[number] = allocator.take(blocks[number].size)
            else:
                allocator.give(held.pop(number))
        for number, place in held.items():
            if blocks[number].kind != "gradients":
                allocator.give(place)


def _events(blocks: Sequence[Block]) -> list[tuple[int, bool, int]]:
    """(event, whether the block comes, its number): what goes at an event goes first."""
    found = []
    for number, block in enumerate(blocks):
        if block.kind in STANDING:
            continue
        found.append((block.born, True, number))
        if block.died >= 0:
            found.append((block.died, False, number))
    return sorted(found)


@dataclass(frozen=True, kw_only=True)
class Held:
    """What micro-batches take of a device, bytes."""

    allocated: int
    """Peak of what is asked for, rounded."""
    reserved: int
    """Peak of what the allocator holds where it may hold what it likes."""
    needed: int
    """Least capacity, within 1/512 of what it holds beyond, that serves them all."""


def held_by(micro_batches: Sequence[Sequence[Block]]) -> Held:
    """Of micro-batches, one after another, on a device of just the size they need."""
    free = CachingAllocator()
    replay(free, micro_batches)
    low, high = free.peak_allocated, free.peak_reserved
    for _ in range(TRIES):
        middle = (low + high) // 2
        try:
            replay(CachingAllocator(middle), micro_batches)
            high = middle
        except DeviceFullError:
            low = middle
    return Held(allocated=free.peak_allocated, reserved=free.peak_reserved, needed=high)
