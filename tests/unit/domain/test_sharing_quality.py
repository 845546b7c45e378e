"""A gate on how well the cluster is shared, on small seeded traces of three shapes.

Simulated hours, the same on every machine. What was reached is written down here; a change of the
scheduler that is worse by a fifth in the mean has to say so by changing these figures.
"""

from statistics import mean

import pytest

from benchmarks.workloads.cluster import mixed_cluster
from benchmarks.workloads.days import Policy, Verdict, judge, live, noisy, whoever_fits
from benchmarks.workloads.traces import TRACES
from ntlbg_service.domain.scheduling.cluster import Cluster
from ntlbg_service.domain.scheduling.schedule import schedule

NODES = {node.profile: node for node in mixed_cluster(8).nodes()}
CLUSTER = Cluster(nodes=tuple(NODES.values()))
"""One node of each kind, 24 GPUs."""
SEEDS = (1, 2, 3, 4, 5)
LOAD, RUNS = 2.5, 150
SLACK = 1.2

Means = dict[str, float]

REACHED: dict[str, Means] = {
    "philly": {
        "makespan": 31.099,
        "mean_wait": 0.230,
        "p99_wait": 1.113,
        "mean_slowdown": 2.102,
        "utilisation": 0.616,
        "fairness": 0.839,
    },
    "helios": {
        "makespan": 16.493,
        "mean_wait": 0.890,
        "p99_wait": 5.723,
        "mean_slowdown": 4.893,
        "utilisation": 0.720,
        "fairness": 0.618,
    },
    "lab": {
        "makespan": 130.454,
        "mean_wait": 19.345,
        "p99_wait": 100.310,
        "mean_slowdown": 8.459,
        "utilisation": 0.779,
        "fairness": 0.762,
    },
}
HIGHER_IS_BETTER = ("utilisation", "fairness")


def means(name: str, policy: Policy = schedule) -> Means:
    found: list[Verdict] = []
    for seed in SEEDS:
        trace = TRACES[name](seed, RUNS, CLUSTER, LOAD)
        found.append(judge(trace, CLUSTER, live(trace, CLUSTER, policy, noisy(seed))))
    return {figure: mean(getattr(row, figure) for row in found) for figure in REACHED[name]}


@pytest.mark.parametrize("name", TRACES)
def test_sharing_is_not_worse_by_a_fifth_than_it_was(name: str) -> None:
    now = means(name)
    for figure, reached in REACHED[name].items():
        if figure in HIGHER_IS_BETTER:
            assert now[figure] >= reached / SLACK, figure
        else:
            assert now[figure] <= reached * SLACK, figure


@pytest.mark.parametrize("name", TRACES)
def test_it_is_fairer_and_waits_are_shorter_than_first_come_first_served(name: str) -> None:
    ours, theirs = means(name), means(name, whoever_fits)
    assert ours["mean_wait"] < theirs["mean_wait"]
    assert ours["fairness"] > theirs["fairness"]
    assert ours["mean_slowdown"] < theirs["mean_slowdown"]
    assert ours["makespan"] < 1.2 * theirs["makespan"]


def test_no_trace_ends_before_the_bound() -> None:
    for name, draw in TRACES.items():
        trace = draw(3, 60, CLUSTER, LOAD)
        assert judge(trace, CLUSTER, live(trace, CLUSTER)).to_bound >= 1 - 1e-9, name
