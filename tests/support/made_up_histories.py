"""Random histories of a small cluster: what is submitted when, how long it takes, who is watching.

Hours are multiples of a quarter, so that sums of them are exact and a hole of just the size of a
run is one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from benchmarks.workloads.days import Policy, live
from benchmarks.workloads.replay import exactly
from benchmarks.workloads.traces import Trace
from ntlbg_service.domain.fitting.fit import Fit
from ntlbg_service.domain.hardware.inventory import Node
from ntlbg_service.domain.scheduling.cluster import Cap, Cluster, HoursInterval, Job, Placement
from ntlbg_service.domain.scheduling.schedule import look_ahead, schedule
from ntlbg_service.domain.scheduling.sharing import on_part
from tests.support.made_up_jobs import a_fit

HOURS = (0.25, 0.5, 1.0, 2.0, 3.75, 9.0)


@dataclass(frozen=True, kw_only=True)
class History:
    """A cluster and what is submitted to it."""

    cluster: Cluster
    jobs: tuple[Job, ...]

    def live(
        self,
        policy: Policy = schedule,
        takes: Callable[[Placement], float] = exactly,
        without: str = "",
    ) -> list[HoursInterval]:
        jobs = tuple(job for job in self.jobs if job.run_id != without)
        return live(Trace(name="made up", jobs=jobs, users={}), self.cluster, policy, takes)


def a_history(
    seed: int, *, runs: int = 9, together: bool = False, caps: bool = False, sharing: bool = False
) -> History:
    """`together`: some are submitted at one moment, in suites."""
    draw = Random(seed)
    cluster = _cluster(draw)
    jobs = []
    moment = 0.0
    while len(jobs) < runs:
        moment += draw.choice((0.25, 0.25, 0.5, 1.0, 2.0))
        kind = _job(draw, sharing)
        if caps:
            kind = replace(kind, caps=_caps(draw))
        kind = replace(kind, fits=_placeable(kind, cluster))
        for _ in range(draw.choice((1, 1, 2, 4)) if together else 1):
            name = str(len(jobs))
            jobs.append(replace(kind, run_id=name, submitted=moment, suite=f"at {moment}"))
    return History(cluster=cluster, jobs=tuple(job for job in jobs if job.fits))


def _placeable(job: Job, cluster: Cluster) -> tuple[Fit, ...]:
    return tuple(fit for fit in job.fits if look_ahead([replace(job, fits=(fit,))], cluster))


def _cluster(draw: Random) -> Cluster:
    nodes = []
    for group in range(draw.randint(1, 3)):
        profile, gpus = draw.choice("ab"), draw.choice((1, 2, 4))
        for number in range(draw.randint(1, 2)):
            name = f"{profile}{group}-{number}"
            host = draw.choice((64.0, 128.0))
            nodes.append(
                Node(name=name, group=group, profile=profile, gpus=gpus, host_memory_gib=host)
            )
    return Cluster(nodes=tuple(nodes))


def _job(draw: Random, sharing: bool) -> Job:
    fits = []
    for profile in draw.choice(("a", "b", "ab", "ba")):
        nodes = draw.choice((1, 1, 1, 2))
        workers = nodes * draw.choice((1, 1, 2, 4))
        host = draw.choice((0.0, 0.0, 20.0, 60.0))
        fit = a_fit(profile, draw.choice(HOURS), workers, nodes=nodes, host_gib=host)
        if sharing and draw.random() < 0.7:
            runs = draw.choice((2, 4, 8))
            part = replace(a_fit(profile, draw.choice(HOURS)), limit_gib=8.0 / runs)
            fit = on_part(replace(part, predicted_gib=8.0 / runs), runs)
        fits.append(fit)
    return Job(run_id="", fits=tuple(fits), priority=draw.choice((0, 0, 0, 1)))


def _caps(draw: Random) -> tuple[Cap, ...]:
    user, suite = draw.choice(("ann", "bob")), draw.choice(("x", "y"))
    caps = (Cap(f"user {user}", 2 if user == "ann" else 3), Cap(f"suite {suite}", 4))
    return draw.choice((caps, caps[:1], ()))


def off_by_a_factor(seed: int) -> Callable[[Placement], float]:
    """Hours between half and twice the prediction."""

    def takes(placement: Placement) -> float:
        return placement.fit.hours * Random(f"{seed} {placement.run_id}").uniform(0.5, 2.0)

    return takes


def watched(look: Callable[[Sequence[Job], Cluster, Sequence[Placement]], None]) -> Policy:
    """The scheduler, with a look at each of its decisions."""

    def policy(waiting: Sequence[Job], cluster: Cluster) -> Sequence[Placement]:
        placements = schedule(waiting, cluster)
        look(waiting, cluster, placements)
        return placements

    return policy
