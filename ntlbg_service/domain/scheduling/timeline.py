"""What is free on one node over time: devices and host memory, as promised so far."""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

SLACK_GIB = 1e-6
"""Sums of host memory that are this close are the same."""


class Need(NamedTuple):
    """What a gang takes on each of its nodes, and for how long."""

    gpus: int
    host_gib: float
    hours: float


class Timeline:
    """A step function of time, in hours from now; after its last step everything is free."""

    def __init__(self, gpus: int, host_gib: float, ready: float = 0.0) -> None:
        self._times = [0.0]
        self._gpus = [gpus]
        self._host = [host_gib]
        if ready > 0:
            self.take(0.0, ready, gpus, 0.0)

    def copy(self) -> "Timeline":
        """One that can be promised away without this one."""
        other = Timeline.__new__(Timeline)
        other._times, other._gpus = self._times.copy(), self._gpus.copy()
        other._host = self._host.copy()
        return other

    def free_gpus(self, moment: float) -> int:
        """Devices that are free at a moment."""
        return self._gpus[bisect_right(self._times, moment) - 1]

    def earliest(self, after: float, need: Need) -> float:
        """The first moment from `after` on at which the need is free for all of its hours.

        What the node does not have at all must not be asked for.
        """
        times, gpus, host = self._times, self._gpus, self._host
        least_host = need.host_gib - SLACK_GIB
        start, last = after, len(times) - 1
        step = bisect_right(times, after) - 1
        while True:
            if gpus[step] < need.gpus or host[step] < least_host:
                step += 1
                start = times[step]
            elif step == last or times[step + 1] >= start + need.hours:
                return start
            else:
                step += 1

    def take(self, start: float, end: float, gpus: int, host_gib: float) -> None:
        """Promise devices and host memory from `start` until `end`."""
        if end <= start:
            return
        first, after = self._step_at(start), self._step_at(end)
        for step in range(first, after):
            self._gpus[step] -= gpus
            self._host[step] -= host_gib

    def _step_at(self, moment: float) -> int:
        place = bisect_left(self._times, moment)
        if place == len(self._times) or self._times[place] != moment:
            self._times.insert(place, moment)
            self._gpus.insert(place, self._gpus[place - 1])
            self._host.insert(place, self._host[place - 1])
        return place
