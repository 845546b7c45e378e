"""One suite planned, and held against a lower bound and against first come, first served."""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ntlbg_service.config_files.loader import load_suite
from ntlbg_service.domain.expansion import expand
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.planning.plan import Plan, plan
from ntlbg_service.domain.planning.plan_record import to_json
from ntlbg_service.domain.scheduling.bound import Way, lower_bound
from ntlbg_service.domain.scheduling.cluster import Cluster, HoursInterval, Job, Placement, makespan
from ntlbg_service.domain.scheduling.placing import demand
from ntlbg_service.domain.scheduling.schedule import look_ahead

from .first_come import first_come
from .replay import replay

NOISE = 0.3
"""Standard deviation of the logarithm of real over predicted hours."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Makespans of one suite, as ratios."""

    to_bound: float
    """The schedule's over the least that any could have."""
    first_come: float
    """First come, first served over the schedule's."""
    first_come_skipping: float
    """The same where runs that find a place overtake those that find none."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Makespans of one suite decided run end by run end, as ratios."""

    as_predicted: float
    """With hours as predicted, over the schedule's."""
    noisy: float
    """With real hours off by a log-normal factor, over a bound for what ran as long as it did."""


def jobs_of(values: dict[str, Any], inventory: Inventory) -> list[Job]:
    """The runs of a suite as the scheduler sees them, in the suite's order."""
    made, _ = planned(values, inventory)
    return [
        Job(run_id=f"{row.variant.name}/{seed}", fits=row.fits, group=row.variant.group)
        for row in made.variants
        for seed in values["seeds"]
        if row.refusal is None
    ]


def planned(values: dict[str, Any], inventory: Inventory) -> tuple[Plan, dict[str, float]]:
    """A suite read from its file and planned, and the seconds of each part."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.json"
        path.write_text(json.dumps(values))
        times = [time.perf_counter()]
        files = load_suite(path)
        variants = expand(files)
        times.append(time.perf_counter())
        made = plan(variants, files.seeds, inventory)
        times.append(time.perf_counter())
        json.dumps(to_json(made))
        times.append(time.perf_counter())
    read, fitted, written = (later - sooner for sooner, later in pairwise(times))
    return made, {"read": read, "plan": fitted, "json": written, "total": times[-1] - times[0]}


def quality(jobs: list[Job], inventory: Inventory) -> Quality:
    """The ratios of one suite."""
    cluster = Cluster(nodes=inventory.nodes())
    ours = makespan(look_ahead(jobs, cluster))
    bound = lower_bound(demand(jobs), cluster.capacity(), within=ours).hours
    return Quality(
        to_bound=ours / bound,
        first_come=makespan(first_come(jobs, cluster)) / ours,
        first_come_skipping=makespan(first_come(jobs, cluster, skip=True)) / ours,
    )


def replayed(jobs: list[Job], inventory: Inventory, seed: int) -> Replayed:
    """The ratios of one suite that is decided as a controller does."""
    cluster = Cluster(nodes=inventory.nodes())
    ours = makespan(look_ahead(jobs, cluster))
    return Replayed(
        as_predicted=makespan(replay(jobs, cluster)) / ours,
        noisy=_to_real_bound(replay(jobs, cluster, _noisy(seed)), cluster),
    )


def _to_real_bound(intervals: Sequence[HoursInterval], cluster: Cluster) -> float:
    """The makespan over the bound for what ran, with the hours that it took."""
    ran = Counter(
        (Way(row.placement.fit.profile, row.placement.fit.workers, row.end - row.start),)
        for row in intervals
    )
    return makespan(intervals) / lower_bound(ran, cluster.capacity()).hours


def _noisy(seed: int) -> Callable[[Placement], float]:
    def takes(placement: Placement) -> float:
        draw = random.Random(f"{seed} {placement.run_id}")
        return placement.fit.hours * draw.lognormvariate(0.0, NOISE)

    return takes
