"""A gate on the scheduler: how near its makespans come to what is possible, on three seeds."""

from statistics import mean

import pytest

from benchmarks.workloads.cluster import mixed_cluster
from benchmarks.workloads.measuring import quality, replayed
from ntlbg_service.domain.scheduling.cluster import Job
from tests.support.made_up_jobs import a_fit, a_job


def queue(seed: int, runs: int = 400) -> list[Job]:
    """Widths and durations as in `benchmarks/workloads/suites.py`, on GPUs of made-up speeds, so
    that a change of the fits moves no figure here."""
    from random import Random

    draw = Random(seed)
    jobs = []
    for number in range(runs):
        gpus = draw.choices((1, 2, 4, 8), weights=(70, 10, 15, 5))[0]
        hours = 10 ** (draw.uniform(1.5, 3) if draw.random() < 0.8 else draw.uniform(3, 4)) / 60
        ampere = draw.uniform(1.5, 3.0)
        speeds = {"V100-32GB": 1.0, "A100-40GB": ampere, "A100-80GB": ampere * draw.uniform(1, 1.2)}
        held = [profile for profile in speeds if draw.random() < 0.8 or profile == "A100-80GB"]
        fits = (a_fit(profile, hours / speeds[profile], gpus) for profile in held)
        jobs.append(a_job(str(number), *fits))
    return jobs


@pytest.mark.parametrize(("nodes", "bound"), [(8, 1.05), (16, 1.1)])
def test_makespans_stay_near_the_bound_and_ahead_of_first_come(nodes: int, bound: float) -> None:
    inventory = mixed_cluster(nodes)
    found = [quality(queue(seed), inventory) for seed in (1, 2, 3)]
    assert max(row.to_bound for row in found) <= bound
    assert mean(row.first_come for row in found) >= 1.3


def test_decided_end_by_end_a_queue_takes_hardly_longer() -> None:
    found = replayed(queue(1, runs=120), mixed_cluster(8), seed=1)
    assert found.as_predicted <= 1.1
