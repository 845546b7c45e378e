"""First come, first served on the first GPU that fits: what the scheduler is held against."""

import heapq
from collections.abc import Sequence

from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Placement, Running
from ntlbg_service.domain.scheduling.reservations import ResourceRequest, has_room, request_of


class Free:
    """Free devices and host memory of each node, now."""

    def __init__(self, cluster: Cluster, running: Sequence[Running] = ()) -> None:
        self.nodes = cluster.nodes
        self.gpus = [node.gpus for node in cluster.nodes]
        self.host = [node.host_memory_gib for node in cluster.nodes]
        places = {node.name: index for index, node in enumerate(cluster.nodes)}
        for held in running:
            self.take(
                request_of(held.placement.fit), [places[name] for name in held.placement.nodes]
            )

    def spot(self, ask: ResourceRequest) -> tuple[int, ...] | None:
        """The first nodes of one group with room now."""
        groups: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            room = self.gpus[index] >= ask.need.gpus and self.host[index] >= ask.need.host_gib
            if room and has_room(node, ask):
                members = groups.setdefault(node.group, [])
                members.append(index)
                if len(members) == ask.nodes:
                    return tuple(members)
        return None

    def take(self, ask: ResourceRequest, spot: Sequence[int], sign: int = 1) -> None:
        """Take a spot, or give it back with sign -1."""
        for index in spot:
            self.gpus[index] -= sign * ask.need.gpus
            self.host[index] -= sign * ask.need.host_gib


def first_come(jobs: Sequence[Job], cluster: Cluster, *, skip: bool = False) -> list[HoursInterval]:
    """Each run in its turn on the first GPU kind, in the inventory's order, that is free.

    Strictly, a run that finds no place holds up all behind it; with `skip` those start that can,
    with no regard for it.
    """
    free, waiting, now = Free(cluster), list(jobs), 0.0
    ends: list[tuple[float, int, ResourceRequest, tuple[int, ...]]] = []
    intervals: list[HoursInterval] = []
    while waiting:
        left: list[Job] = []
        full: set[int] = set()
        for place, job in enumerate(waiting):
            found = None if id(job.fits) in full else first_spot(job, free)
            if found is None:
                full.add(id(job.fits))
                left.append(job)
                if not skip:
                    left += waiting[place + 1 :]
                    break
                continue
            fit, ask, spot = found
            free.take(ask, spot)
            heapq.heappush(ends, (now + fit.hours, len(intervals), ask, spot))
            placement = Placement(
                run_id=job.run_id, fit=fit, nodes=tuple(free.nodes[i].name for i in spot)
            )
            intervals.append(HoursInterval(placement=placement, start=now, end=now + fit.hours))
        waiting = left
        now = _until_next_end(ends, free) if waiting else now
    return intervals


def first_spot(job: Job, free: Free) -> tuple[Fit, ResourceRequest, tuple[int, ...]] | None:
    """A job's first fit that is free now, and where."""
    for fit in job.fits:
        ask = request_of(fit)
        spot = free.spot(ask)
        if spot is not None:
            return fit, ask, spot
    return None


def _until_next_end(
    ends: list[tuple[float, int, ResourceRequest, tuple[int, ...]]], free: Free
) -> float:
    now = ends[0][0]
    while ends and ends[0][0] == now:
        _, _, ask, spot = heapq.heappop(ends)
        free.take(ask, spot, sign=-1)
    return now
