"""The runs that start now, each with the numbers that decided it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ntlbg_service.domain.scheduling.cluster import Cap, Cluster, HoursInterval, Job, Placement
from ntlbg_service.domain.scheduling.queue_order import LEVEL_HOURS, in_turns, size_of
from ntlbg_service.domain.scheduling.schedule import DEPTH, look_ahead, something_free

NAMED = 2
"""Runs that are named where more were meant."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """A run that starts now, and why it does."""

    placement: Placement
    place: int
    """Its place in the queue, from 1."""
    queued: int
    """Runs in the queue."""
    priority: int
    waited: float
    """Hours since it was submitted."""
    device_hours: float
    """Where it takes the fewest."""
    overtaken: tuple[HoursInterval, ...]
    """What is reserved for those ahead of it that go on waiting, soonest first."""
    caps: tuple[tuple[Cap, int], ...] = ()
    """What it counts against, and the GPUs that count against it with this run."""

    @property
    def named(self) -> tuple[HoursInterval, ...]:
        """Those of them that are named."""
        return self.overtaken[:NAMED]

    @property
    def aged(self) -> float:
        """Its priority with what waiting has added."""
        return self.priority + self.waited / LEVEL_HOURS


def starts(waiting: Sequence[Job], cluster: Cluster, now: float) -> tuple[Start, ...]:
    """Who starts now, as `schedule` says, with its reasons. `now` is on the clock of the jobs."""
    if not something_free(cluster):
        return ()
    turns = in_turns(waiting)
    ahead = look_ahead(waiting, cluster, DEPTH, turns)
    beginning = [row for row in ahead if row.start <= 0.0]
    if not beginning:
        return ()
    order = [job for turn in turns for job in turn]
    places = {job.run_id: place for place, job in enumerate(order)}
    left = [(places[row.placement.run_id], row) for row in ahead if row.start > 0.0]
    used = _used(cluster, order, beginning)
    return tuple(_start(order, places, row.placement, left, used, now) for row in beginning)


def _start(
    order: Sequence[Job],
    places: Mapping[str, int],
    placement: Placement,
    left: Sequence[tuple[int, HoursInterval]],
    used: Mapping[Cap, float],
    now: float,
) -> Start:
    place = places[placement.run_id]
    job = order[place]
    return Start(
        placement=placement,
        place=place + 1,
        queued=len(order),
        priority=job.priority,
        waited=max(now - job.submitted, 0.0),
        device_hours=size_of(job),
        overtaken=tuple(row for ahead, row in left if ahead < place),
        caps=tuple((cap, round(used[cap])) for cap in job.caps),
    )


def _used(
    cluster: Cluster, order: Sequence[Job], beginning: Sequence[HoursInterval]
) -> dict[Cap, float]:
    """GPUs that count against each cap once all have started."""
    caps = {job.run_id: job.caps for job in order}
    held = [(row.placement, row.caps) for row in cluster.running]
    held += [(row.placement, caps[row.placement.run_id]) for row in beginning]
    used: dict[Cap, float] = {}
    for placement, counted in held:
        for cap in counted:
            used[cap] = used.get(cap, 0.0) + placement.fit.workers * placement.fit.share
    return used


def words_of_start(start: Start, names: Mapping[str, str]) -> str:
    """What an event keeps of a decision; `names` are labels of runs by id."""
    words = [
        f"place {start.place} of {start.queued} in the queue (priority {start.priority}, with "
        f"{start.waited:.2f} h of waiting {start.aged:.2f}; {start.device_hours:.2f} GPU-hours)"
    ]
    if start.overtaken:
        held = ", ".join(_reserved(row, names) for row in start.named)
        more = len(start.overtaken) - NAMED
        words.append(f"delays none ahead: {held}" + (f" and {more} more" if more > 0 else ""))
    words += [f"{cap.whose} then holds {used} of {cap.gpus} GPUs" for cap, used in start.caps]
    return "; ".join(words)


def _reserved(row: HoursInterval, names: Mapping[str, str]) -> str:
    run_id = row.placement.run_id
    where = ", ".join(row.placement.nodes)
    return f"{names.get(run_id, run_id)} has {where} in {row.start:.2f} h"
