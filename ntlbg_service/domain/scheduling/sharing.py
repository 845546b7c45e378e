"""Several small runs on one GPU: as parts of it, each fitted to its part as to a small card.

A part is a half, a quarter or an eighth of what runs on the card may fill. What runs side by side
has parts that add up to the card at most, and each is predicted to stay within its own. Parts of
these sizes leave no gap that a smaller number of cards would not have.
"""

from dataclasses import replace

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.timeline import Need, Timeline

PARTS = 8
"""What a GPU is counted in; no run has less than one."""
SIZES = (8, 4, 2)
"""Runs that may share a GPU, the most first."""
SLOWER = 0.5
"""What each run that may be beside it adds to a run's hours, as a share of them. Assumed: between
a card that was idle half of the time (0) and one that was busy all of the time (1)."""


def parts_of(fit: Fit) -> int:
    """Parts of a GPU that each worker of a fit takes."""
    return round(fit.share * PARTS)


def on_part(part: Fit, runs: int) -> Fit:
    """A fit to one of so many parts of a GPU, with hours for a card on which each part is taken,
    and its share of the cores."""
    hours = part.hours * (1 + SLOWER * (runs - 1))
    return replace(part, share=1 / runs, hours=hours, cores=max(1, part.cores // runs))


def as_plain(part: Fit, whole: Fit) -> bool:
    """Whether a run on a part does nothing to save memory that it would not do on the whole card,
    but for how many samples and frames go through together."""
    kept = ("workers", "numerics", "gradient_checkpointing", "zero_stage", "offload")
    return all(getattr(part, name) == getattr(whole, name) for name in kept)


class SharedGpu:
    """One GPU that runs have parts of; it is held from the first start to the last end.

    What is asked for is a need of so many parts.
    """

    def __init__(self, start: float) -> None:
        self.start = self._end = start
        self._line = Timeline(PARTS, 0.0)

    def copy(self) -> "SharedGpu":
        """One that can be promised away without this one."""
        other = SharedGpu(self.start)
        other._end, other._line = self._end, self._line.copy()
        return other

    def earliest(self, after: float, need: Need) -> float:
        """When the parts are free first, were the GPU held for as long as it takes."""
        return self._line.earliest(max(after, self.start), need)

    def reaches(self, start: float, need: Need, node: Timeline) -> bool:
        """Whether the GPU is held at a moment, and can be held until that run ends."""
        if start > self._end:
            return False
        longer = start + need.hours - self._end
        return longer <= 0 or node.earliest(self._end, Need(1, 0.0, longer)) == self._end

    def take(self, start: float, need: Need, node: Timeline) -> None:
        """Promise parts, and of the node the GPU for as much longer as that takes."""
        end = start + need.hours
        self._line.take(start, end, need.gpus, 0.0)
        node.take(self._end, end, 1, 0.0)
        self._end = max(self._end, end)
