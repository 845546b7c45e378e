"""Queues that fill over days: who submits what, when, drawn in the shape of public traces.

Three draws, each of single runs and bursts of like runs by several users:

`philly`: Microsoft's Philly trace (Jeon et al., USENIX ATC 2019), by what its extract in the
artifact of Pollux says of the 74,593 jobs of a minute or more (`simulator/traces/philly.csv` of
github.com/petuum/adaptdl at de25dcc, read on 2026-11-26): GPUs a job; quantiles of the duration
by GPUs; shares of the virtual clusters, taken for users; submissions by hour of the day; how many
like jobs come within two minutes of each other.

`helios`: SenseTime's Helios traces (Hu et al., SC 2021), by `helios_cluster_summary.csv` in
github.com/S-Lab-System-Group/HeliosArtifact at 6345d9f, read on 2026-11-26: the duration is
log-normal with its median (206 s) and mean (6,652 s), GPUs a job have its median (1) and about its
mean (3.7) in powers of two up to one node. Users, bursts and hours are as in `philly`: the summary
says nothing of them.

`lab`: what this project is for, without a public source: five researchers, suites of 6 to 48 runs
of half an hour to a day, and single runs between them.

Durations are those on the slowest kind that a run fits. What takes longer than `LONGEST` is left
out, since a trace of a few days says nothing of it. Every run fits the largest kind of GPU, and
each of the others with probability 0.8; how much faster the newer ones are is drawn by the run.
"""

import random
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ntlbg_service.domain.scheduling.cluster import Cluster, Job
from tests.support.made_up_jobs import a_fit

LONGEST = 96.0
"""Hours."""
DECILES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
PHILLY_HOURS = {
    1: (0.017, 0.020, 0.042, 0.121, 0.235, 0.387, 0.543, 0.716, 1.130, 2.541, 6.046, 40.808),
    2: (0.017, 0.029, 0.038, 0.263, 5.801, 10.04, 19.83, 34.27, 53.61, 79.76, 128.6, 388.3),
    4: (0.017, 0.044, 0.168, 0.740, 2.746, 5.356, 11.52, 22.52, 31.23, 51.63, 77.89, 252.4),
    8: (0.017, 0.078, 0.259, 1.240, 3.538, 7.106, 19.41, 40.31, 56.78, 99.86, 148.0, 296.4),
}
"""Quantiles of the duration at `DECILES`, by GPUs."""
PHILLY_GPUS = {1: 70447, 2: 462, 4: 1809, 8: 1613}
PHILLY_USERS = (0.503, 0.171, 0.129, 0.099, 0.025, 0.019, 0.019, 0.015, 0.010, 0.006, 0.005)
# fmt: off
PHILLY_RATE = (
    1.32, 1.03, 1.14, 1.09, 0.72, 1.20, 1.67, 2.12, 1.13, 1.02, 0.94, 0.84,
    0.66, 0.70, 0.66, 0.68, 0.93, 0.68, 0.82, 0.71, 0.96, 0.85, 1.14, 0.98,
)
# fmt: on
"""Submissions by hour of the day, over their mean."""
BURSTS = ((0.75, 1, 1), (0.15, 2, 2), (0.05, 3, 4), (0.05, 5, 40))
"""Share of the bursts, and from how many to how many like jobs they have."""
HELIOS_GPUS = {1: 60, 2: 10, 4: 12, 8: 18}
HELIOS_MEDIAN, HELIOS_SIGMA = 206 / 3600, 2.636
"""Hours; the sigma with which the mean is 6,652 s."""
PROFILES = ("V100-32GB", "A100-40GB", "A100-80GB")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Runs in the order of their submission."""

    name: str
    jobs: tuple[Job, ...]
    users: dict[str, str]
    """Who submitted each, by run id."""


@dataclass(frozen=True, kw_only=True)
class _Burst:
    user: str
    runs: int
    gpus: int
    hours: float


def philly(seed: int, runs: int, cluster: Cluster, load: float) -> Trace:
    """Jobs as in Philly that ask for `load` times the cluster."""

    def bursts(draw: random.Random) -> Iterator[_Burst]:
        while True:
            gpus = draw.choices(tuple(PHILLY_GPUS), weights=tuple(PHILLY_GPUS.values()))[0]
            yield _Burst(
                user=_user(draw), runs=_burst(draw), gpus=gpus, hours=_quantile(draw, gpus)
            )

    return _trace("philly", seed, runs, cluster, load, bursts)


def helios(seed: int, runs: int, cluster: Cluster, load: float) -> Trace:
    """Jobs as in Helios that ask for `load` times the cluster."""

    def bursts(draw: random.Random) -> Iterator[_Burst]:
        while True:
            gpus = draw.choices(tuple(HELIOS_GPUS), weights=tuple(HELIOS_GPUS.values()))[0]
            hours = HELIOS_MEDIAN * draw.lognormvariate(0.0, HELIOS_SIGMA)
            yield _Burst(user=_user(draw), runs=_burst(draw), gpus=gpus, hours=hours)

    return _trace("helios", seed, runs, cluster, load, bursts)


def lab(seed: int, runs: int, cluster: Cluster, load: float) -> Trace:
    """Suites and single runs of a few researchers, `load` times what the cluster can do."""

    def bursts(draw: random.Random) -> Iterator[_Burst]:
        while True:
            suite = draw.random() < 0.4
            yield _Burst(
                user=f"user {draw.choices(range(5), weights=(5, 4, 3, 2, 1))[0]}",
                runs=draw.randint(6, 48) if suite else 1,
                gpus=draw.choices((1, 2, 4, 8), weights=(60, 15, 15, 10))[0],
                hours=0.5 * 48 ** draw.random(),
            )

    return _trace("lab", seed, runs, cluster, load, bursts)


TRACES = {"philly": philly, "helios": helios, "lab": lab}


def _user(draw: random.Random) -> str:
    return f"user {draw.choices(range(len(PHILLY_USERS)), weights=PHILLY_USERS)[0]}"


def _burst(draw: random.Random) -> int:
    _, least, most = draw.choices(BURSTS, weights=[share for share, _, _ in BURSTS])[0]
    return draw.randint(least, most)


def _quantile(draw: random.Random, gpus: int) -> float:
    at = draw.uniform(0.0, DECILES[-1])
    place = min(bisect(DECILES, at) - 1, len(DECILES) - 2)
    low, high = PHILLY_HOURS[gpus][place : place + 2]
    part = (at - DECILES[place]) / (DECILES[place + 1] - DECILES[place])
    return low * (high / low) ** part


def _trace(
    name: str,
    seed: int,
    runs: int,
    cluster: Cluster,
    load: float,
    bursts: Callable[[random.Random], Iterator[_Burst]],
) -> Trace:
    draw = random.Random(f"{name} {seed}")
    drawn: list[tuple[str, list[Job]]] = []
    for burst in bursts(draw):
        if burst.hours > LONGEST:
            continue
        left = runs - sum(len(jobs) for _, jobs in drawn)
        if left <= 0:
            break
        burst = replace(burst, runs=min(burst.runs, left))
        drawn.append((burst.user, _jobs(draw, len(drawn), burst)))
    work = sum(min(fit.gpu_hours for fit in job.fits) for _, jobs in drawn for job in jobs)
    span = work / (load * sum(cluster.capacity().values()))
    jobs, users = [], {}
    for (user, burst_jobs), moment in zip(drawn, _moments(draw, len(drawn), span), strict=True):
        for job in burst_jobs:
            users[job.run_id] = user
            jobs.append(replace(job, submitted=moment))
    return Trace(name=f"{name} {seed}", jobs=tuple(jobs), users=users)


def _moments(draw: random.Random, count: int, span: float) -> list[float]:
    """When bursts come: more of them at the hours at which more jobs are submitted."""
    moments: list[float] = []
    while len(moments) < count:
        moment = draw.uniform(0.0, span)
        if draw.random() * max(PHILLY_RATE) <= PHILLY_RATE[int(moment) % 24]:
            moments.append(moment)
    return sorted(moments)


def _jobs(draw: random.Random, number: int, burst: _Burst) -> list[Job]:
    ampere = draw.uniform(1.5, 3.0)
    speeds = dict(zip(PROFILES, (1.0, ampere, ampere * draw.uniform(1.0, 1.2)), strict=True))
    held = [name for name in PROFILES if name == PROFILES[-1] or draw.random() < 0.8]
    slowest = min(speeds[name] for name in held)
    fits = tuple(
        a_fit(name, burst.hours * slowest / speeds[name], burst.gpus) for name in reversed(held)
    )
    return [
        Job(run_id=f"{number:04d}/{place}", fits=fits, suite=f"{number:04d}")
        for place in range(burst.runs)
    ]
