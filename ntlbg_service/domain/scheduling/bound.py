"""The least time that a queue can take on a cluster, and what that says devices are worth.

Any prices y of a device-hour by kind, scaled so that the whole cluster earns 1 in an hour, bound
the makespan from below: each job costs at least its cheapest settings, and no hour can pay for
more than 1 (weak duality of the fractional assignment of jobs to unrelated machines; Lenstra,
Shmoys and Tardos, Math. Programming 46, 1990). So a poor choice of prices loosens the bound and
never breaks it. Good prices are found by multiplicative weights: a kind that is over-subscribed
at the present prices becomes dearer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 120
"""Of multiplicative weights; the bound is within a percent of the best by then."""


@dataclass(frozen=True)
class Way:
    """One way to run a job."""

    profile: str
    devices: float
    """Below 1 for a part of a shared one."""
    hours: float

    @property
    def device_hours(self) -> float:
        """Devices x hours."""
        return self.devices * self.hours


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A makespan that nothing can undercut, and the prices that prove it."""

    hours: float
    work: float
    """What of it the work alone takes, spread evenly, however long a single job is."""
    prices: Mapping[str, float]
    """Worth of a device-hour by profile, relative to the whole cluster's hour."""

    def cost(self, way: Way) -> float:
        """What a way to run takes of the cluster, in hours of all of it."""
        return self.prices.get(way.profile, 0.0) * way.device_hours


def lower_bound(
    jobs: Mapping[tuple[Way, ...], int],
    capacity: Mapping[str, int],
    busy: Mapping[str, float] | None = None,
    *,
    within: float = math.inf,
    rounds: int = ROUNDS,
) -> Bound:
    """The bound for so many jobs of each kind, given by its ways to run.

    `busy`: device-hours promised already, by profile. `within`: a makespan that was reached; ways
    that take longer are left aside, since only what is worse would use them.
    """
    rows = [(count, row) for ways, count in jobs.items() if (row := _least(ways, capacity, within))]
    held = {name: hours for name, hours in (busy or {}).items() if name in capacity}
    profiles = sorted({name for _, row in rows for name in row} | set(held))
    if not profiles:
        return Bound(hours=0.0, work=0.0, prices={})
    prices = dict.fromkeys(profiles, 1.0 / sum(capacity[name] for name in profiles))
    work, best = 0.0, prices
    for turn in range(rounds if len(profiles) > 1 else 1):
        value, loads = _earned(rows, prices, held)
        if value > work:
            work, best = value, prices
        prices = _dearer(prices, loads, capacity, turn)
    return Bound(hours=max(work, _waves(jobs, capacity)), work=work, prices=best)


def _waves(jobs: Mapping[tuple[Way, ...], int], capacity: Mapping[str, int]) -> float:
    """The bound by counting: long jobs come in waves.

    Take the longest of the jobs that only some kinds of device can hold. Once they want more than
    k - 1 times those devices, some device is wanted by k of them, one after another: at best by
    the k shortest.
    """
    widths = {ways: int(min(way.devices for way in ways)) for ways in jobs}
    kinds = sorted(
        (
            (min(way.hours for way in ways), widths[ways], count, ways)
            for ways, count in jobs.items()
            if widths[ways]  # Those that share a GPU are left to the bound by work.
        ),
        key=lambda kind: -kind[0],
    )
    least = 0.0
    for places in _places(jobs):
        room = sum(capacity.get(name, 0) for name in places)
        taken: list[tuple[float, int]] = []
        wanted = 0
        for hours, width, count, ways in kinds if room else ():
            if not places.issuperset(way.profile for way in ways):
                continue
            waves = -(-wanted // room)
            first = (waves * room - wanted) // width + 1
            for number in {min(first, count), count}:
                waves = -(-(wanted + number * width) // room)
                least = max(least, _shortest(waves, [*taken[-waves:], (hours, number)]))
            wanted += count * width
            taken.append((hours, count))
    return least


def _shortest(number: int, taken: Sequence[tuple[float, int]]) -> float:
    """Hours of so many of the last jobs, given from the longest to the shortest."""
    total = 0.0
    for hours, count in reversed(taken):
        total += hours * min(number, count)
        number -= min(number, count)
    return total


def _places(jobs: Mapping[tuple[Way, ...], int]) -> set[frozenset[str]]:
    """Sets of profiles that some jobs are confined to, and the unions of two of them."""
    own = {frozenset(way.profile for way in ways) for ways in jobs}
    return {one | other for one in own for other in own}


def _earned(
    rows: Sequence[tuple[int, Mapping[str, float]]],
    prices: Mapping[str, float],
    held: Mapping[str, float],
) -> tuple[float, dict[str, float]]:
    """What all jobs cost at their cheapest, and the device-hours they then take by profile."""
    loads = {name: held.get(name, 0.0) for name in prices}
    value = sum(prices[name] * hours for name, hours in held.items())
    for count, row in rows:
        name = min(row, key=lambda name: prices[name] * row[name])
        loads[name] += count * row[name]
        value += count * prices[name] * row[name]
    return value, loads


def _least(ways: Sequence[Way], capacity: Mapping[str, int], within: float) -> dict[str, float]:
    """Fewest device-hours by profile, of the ways that are short enough (else of all)."""
    known = [way for way in ways if way.profile in capacity]
    row: dict[str, float] = {}
    for way in [way for way in known if way.hours <= within] or known:
        row[way.profile] = min(row.get(way.profile, math.inf), way.device_hours)
    return row


def _dearer(
    prices: Mapping[str, float],
    loads: Mapping[str, float],
    capacity: Mapping[str, int],
    turn: int,
) -> dict[str, float]:
    levels = {name: loads[name] / capacity[name] for name in prices}
    top = max(levels.values()) or 1.0
    rate = 0.6 / math.sqrt(1 + turn)
    raised = {name: prices[name] * math.exp(rate * levels[name] / top) for name in prices}
    worth = sum(raised[name] * capacity[name] for name in raised)
    return {name: price / worth for name, price in raised.items()}
