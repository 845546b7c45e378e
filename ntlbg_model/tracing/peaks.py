"""The peak of each phase of a recorded step, item by item, and what a deeper model would have."""

from bisect import bisect_right
from dataclasses import dataclass

from ntlbg_model.tracing.storages import Block, Recorder

COUNTED = ("activations", "temporaries", "logits", "vision", "gradients")
STANDING = ("parameters", "kept")
"""Kinds of storages that are there before the step and after it."""


@dataclass(frozen=True)
class Peaks:
    """The highest moment of each phase."""

    phases: dict[str, dict[str, float]]

    def grown(self, more: "Peaks", times: int) -> "Peaks":
        """Each item as far beyond this as `times` steps of the size from this to `more`.

        Exact where every block of a kind takes the same: phases are marked at the first and the
        last block, between which memory is linear in the number of blocks.
        """
        return Peaks(
            {
                phase: _settled(
                    {
                        item: items[item] + times * (more.phases[phase][item] - items[item])
                        for item in COUNTED
                    }
                )
                for phase, items in self.phases.items()
            }
        )

    def plus(self, other: "Peaks", base: "Peaks") -> "Peaks":
        """This with what `other` has beyond `base`."""
        return Peaks(
            {
                phase: {
                    item: items[item] + other.phases[phase][item] - base.phases[phase][item]
                    for item in COUNTED
                }
                for phase, items in self.phases.items()
            }
        )


def _settled(items: dict[str, float]) -> dict[str, float]:
    """The same sum with no item below zero: a moment at which one kind of storage takes another's
    place grows by both."""
    below = sum(min(0.0, value) for value in items.values())
    settled = {item: max(0.0, value) for item, value in items.items()}
    settled["temporaries"] += below
    return settled


def peaks_of(recorder: Recorder) -> Peaks:
    """The peaks of a recording."""
    moving = [block for block in recorder.blocks if block.kind not in STANDING]
    turn = next((event for event, phase in recorder.marks if phase.startswith("backward")), None)
    turn = recorder.events + 1 if turn is None else turn
    starts = [event for event, _ in recorder.marks]
    highest: dict[str, tuple[int, int]] = {}
    for event, held in _levels(moving):
        phase = recorder.marks[max(0, bisect_right(starts, event) - 1)][1]
        if held > highest.get(phase, (-1, 0))[0]:
            highest[phase] = (held, event)
    highest.pop("end", None)
    return Peaks({phase: _items(moving, event, turn) for phase, (_, event) in highest.items()})


def _levels(blocks: list[Block]) -> list[tuple[int, int]]:
    """(event, bytes held after it), in order. What ends and begins at one event ends first."""
    changes: dict[int, int] = {}
    for block in blocks:
        changes[block.born] = changes.get(block.born, 0) + block.size
        if block.died >= 0:
            changes[block.died] = changes.get(block.died, 0) - block.size
    held, levels = 0, []
    for event in sorted(changes):
        held += changes[event]
        levels.append((event, held))
    return levels


def _items(blocks: list[Block], event: int, turn: int) -> dict[str, float]:
    items = dict.fromkeys(COUNTED, 0.0)
    for block in blocks:
        if block.born <= event and (block.died < 0 or block.died > event):
            items[_item(block, turn)] += block.size
    return items


def _item(block: Block, turn: int) -> str:
    if block.kind != "other":
        return block.kind
    waits = block.born < turn and (block.died < 0 or block.died > turn)
    return "activations" if waits else "temporaries"
