"""How fast a suite is planned, and how much a better order could still win.

    python benchmarks/planning.py [--seeds 10] [--out benchmarks/results]

Speed: suites of 40 distinct shapes read from JSON, expanded, fitted, scheduled and written as
JSON again, on 512 GPUs of three kinds; fits in closed form, as they are where traces are cached.
The minimum of three repeats, since the machine is shared.

Quality: makespans of 1,000 runs of 200 shapes on 64 and 128 GPUs, where the queue is many times
the cluster, and of 40 shapes on 512 GPUs, where the longest run decides. As ratios: to a lower
bound that no schedule undercuts (`ntlbg_service/domain/scheduling/bound.py`), and of first come,
first served on the first GPU that fits, strictly in turn and with overtaking. The workloads are in
`benchmarks/workloads/suites.py`, with their source. Shorter queues are also decided run end by run
end, as a controller does, with hours as predicted and with hours off by a factor whose logarithm
has standard deviation 0.3. Then what it costs to keep each comparison group in one numerics class.
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workloads.cluster import mixed_cluster
from workloads.measuring import jobs_of, planned, quality, replayed
from workloads.suites import philly_shaped, random_mix

from ntlbg_service.domain.hardware.inventory import Inventory

Draw = Callable[[int, int, int, Inventory], dict[str, Any]]
WORKLOADS: dict[str, Draw] = {"random mix": random_mix, "Philly-shaped": philly_shaped}
SIZES = {64: 200, 128: 200, 512: 40}
"""GPUs to distinct shapes."""
SEEDS_OF_A_VARIANT = 5
LIMITS = {"seconds_1000": 2.0, "seconds_10000": 20.0, "to_bound": 1.1, "first_come": 1.3}
"""What is claimed: seconds, and on 64 GPUs the mean ratios."""


def speed(runs: int) -> dict[str, float]:
    """Seconds of each part of planning so many runs on 512 GPUs."""
    inventory = mixed_cluster(64)
    values = random_mix(0, runs // SEEDS_OF_A_VARIANT, 40, inventory)
    return min((planned(values, inventory)[1] for _ in range(3)), key=lambda part: part["total"])


def measure(draw: Draw, gpus: int, shapes: int, seeds: int) -> dict[str, list[float]]:
    """The ratios of one workload on a cluster of a size, by seed."""
    inventory = mixed_cluster(gpus // 8)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        jobs = jobs_of(draw(seed, 200, shapes, inventory), inventory)
        for name, value in vars(quality(jobs, inventory)).items():
            found.setdefault(name, []).append(value)
    return found


def measure_replayed(draw: Draw, seeds: int) -> dict[str, list[float]]:
    """The ratios of deciding 150 runs end by end on 64 GPUs, by seed."""
    inventory = mixed_cluster(8)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        jobs = jobs_of(draw(seed, 30, 30, inventory), inventory)
        for name, value in vars(replayed(jobs, inventory, seed)).items():
            found.setdefault(name, []).append(value)
    return found


def numerics(draw: Draw, seeds: int) -> dict[str, list[float]]:
    """Makespan over that without the guard, and the share of groups in one class, by seed."""
    inventory = mixed_cluster(8)
    found: dict[str, list[float]] = {"longer": [], "kept": []}
    for seed in range(seeds):
        values = draw(seed, 200, 200, inventory)
        made, _ = planned(values, inventory)
        found["longer"].append(made.makespan_hours / made.unpinned_hours)
        found["kept"].append(1 - len(made.mixed_numerics()) / len(values["groups"]))
    return found


def spread(values: Sequence[float]) -> str:
    """Mean, least and most."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, shared",
        "versions": {"python": platform.python_version()},
        "seeds": arguments.seeds,
        "limits": LIMITS,
        "seconds": {},
        "quality": {},
        "replayed": {},
        "numerics": {},
    }
    for runs in (1_000, 10_000):
        parts = result["seconds"][str(runs)] = speed(runs)
        words = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
        print(f"{runs} runs of 40 shapes on 512 GPUs, seconds: {words}")
    for name, draw in WORKLOADS.items():
        result["quality"][name] = {}
        for gpus, shapes in SIZES.items():
            found = measure(draw, gpus, shapes, arguments.seeds)
            result["quality"][name][str(gpus)] = found
            print(f"{name}, 1000 runs of {shapes} shapes on {gpus} GPUs, mean (least to most)")
            for ratio, values in found.items():
                print(f"  {ratio:20} {spread(values)}")
        decided = result["replayed"][name] = measure_replayed(draw, arguments.seeds)
        print(f"{name}, 150 runs of 30 shapes on 64 GPUs, decided run end by run end")
        for ratio, values in decided.items():
            print(f"  {ratio:20} {spread(values)}")
        guard = result["numerics"][name] = numerics(draw, arguments.seeds)
        print(f"{name}, 64 GPUs, groups in one numerics class")
        for ratio, values in guard.items():
            print(f"  {ratio:20} {spread(values)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "planning.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
