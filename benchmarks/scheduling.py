"""How well the cluster is shared: waits, fairness and use, over days of submissions.

    python benchmarks/scheduling.py [--seeds 5] [--runs 500] [--out benchmarks/results]

Queues that fill over days (`benchmarks/workloads/traces.py`: in the shape of Philly and Helios,
with their sources, and of a lab that submits suites) on 64 GPUs of three kinds, lived through
decision by decision as a controller does, with real hours off by a log-normal factor of sigma 0.3.
Beside them first come, first served on the first GPU that fits, strictly and with overtaking; the
makespan also beside a bound that nothing undercuts. The `offered` load is the device-hours of all
runs, each where it takes the fewest, over those of the cluster until the last submission.

Figures are in simulated hours and the same on every machine: the means of small traces are
held by a test (`tests/unit/domain/test_sharing_quality.py`) at what was reached plus 20 %.
"""

import argparse
import json
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workloads.cluster import mixed_cluster
from workloads.days import POLICIES, Policy, Verdict, judge, live, noisy
from workloads.traces import TRACES

from ntlbg_service.domain.scheduling.cluster import Cluster

LOADS = (1.0, 2.5)
SHOWN = (
    "makespan",
    "to_bound",
    "mean_wait",
    "p99_wait",
    "utilisation",
    "fairness",
    "mean_slowdown",
    "max_slowdown",
)


def measure(name: str, policy: Policy, cluster: Cluster, load: float, seeds: int, runs: int) -> Any:
    """The verdicts of a policy on one kind of trace, by seed."""
    verdicts: list[Verdict] = []
    for seed in range(seeds):
        trace = TRACES[name](seed, runs, cluster, load)
        intervals = live(trace, cluster, policy, noisy(seed))
        assert len(intervals) == len(trace.jobs)
        verdicts.append(judge(trace, cluster, intervals))
    return {figure: [getattr(row, figure) for row in verdicts] for figure in SHOWN}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    cluster = Cluster(nodes=mixed_cluster(8).nodes())
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, shared",
        "versions": {"python": platform.python_version()},
        "seeds": arguments.seeds,
        "runs": arguments.runs,
        "gpus": sum(cluster.capacity().values()),
        "traces": {},
    }
    for name in TRACES:
        for load in LOADS:
            by_policy = result["traces"].setdefault(name, {}).setdefault(str(load), {})
            print(f"{name}, {arguments.runs} runs, offered {load}: means over seeds")
            print(f"  {'':24}" + "".join(f"{figure:>15}" for figure in SHOWN))
            for words, policy in POLICIES.items():
                begun = time.perf_counter()
                found = measure(name, policy, cluster, load, arguments.seeds, arguments.runs)
                by_policy[words] = found
                row = "".join(f"{statistics.mean(found[figure]):>15.3f}" for figure in SHOWN)
                print(f"  {words:24}{row}   ({time.perf_counter() - begun:.1f} s)", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "scheduling.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
