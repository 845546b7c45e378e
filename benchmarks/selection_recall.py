"""Needle recall and cost of the training-free selections, all in one run on the same videos.

    python benchmarks/selection_recall.py [--videos 60] [--seeds 3] [--out benchmarks/results]

For each split: the share of needles of which a kept frame shows something, at 64 of 512 frames
(32 of 256 adjacent pairs), as mean and spread over seeds of rendered videos, the ratio to uniform
sampling, and seconds a video for statistics and selection together.
"""

import argparse
import json
import os
import platform
import statistics
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ntlbg_model.config import SelectionConfig
from ntlbg_model.data.needles.plan import NeedlesSpec, VideoPlan
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.select import select_pairs

METHODS = ("uniform", "random", "median_contour", "ntlbg")
PAIRS = 32
FIRST_SEED = 7000


def measure_video(plan: VideoPlan, pixels: torch.Tensor, method: str) -> tuple[float, float]:
    """Share of the needles seen, and seconds."""
    config = SelectionConfig(method=method)  # type: ignore[arg-type]
    started = time.perf_counter()
    candidates = pixels.shape[0] // 2
    features = pair_features(pixels) if config.compares_frames else torch.zeros(candidates, 1)
    kept = set(select_pairs(features, PAIRS, config, plan.index).pairs.tolist())
    seconds = time.perf_counter() - started
    hits = [any(frame // 2 in kept for frame in needle.frames) for needle in plan.needles]
    return sum(hits) / len(hits), seconds


def measure_split(split: str, videos: int, seeds: int) -> dict[str, Any]:
    """Every method on the same videos."""
    recalls: dict[str, list[float]] = {method: [] for method in METHODS}
    seconds: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        found: dict[str, list[float]] = {method: [] for method in METHODS}
        spec = NeedlesSpec(split=split, videos=videos, seed=seed, resolution=56)  # type: ignore[arg-type]
        for index in range(videos):
            plan = sample_video(spec, index)
            pixels = torch.from_numpy(render(plan))
            for method in METHODS:
                recall, spent = measure_video(plan, pixels, method)
                found[method].append(recall)
                seconds[method].append(spent)
        for method in METHODS:
            recalls[method].append(statistics.fmean(found[method]))
    base = statistics.fmean(recalls["uniform"])
    return {
        method: {
            "recall": statistics.fmean(recalls[method]),
            "spread_over_seeds": [min(recalls[method]), max(recalls[method])],
            "ratio_to_uniform": statistics.fmean(recalls[method]) / base,
            "milliseconds_a_video": 1000 * statistics.median(seconds[method]),
        }
        for method in METHODS
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread",
        "versions": {name: version(name) for name in ("torch", "numpy")},
        "videos": arguments.videos,
        "seeds": list(range(FIRST_SEED, FIRST_SEED + arguments.seeds)),
    }
    for split in ("clean", "glitch"):
        result[split] = measure_split(split, arguments.videos, arguments.seeds)
        print(f"{split}: recall of needles, 64 of 512 frames")
        for method, row in result[split].items():
            low, high = row["spread_over_seeds"]
            print(
                f"  {method:15} {row['recall']:.3f} ({low:.3f} to {high:.3f})  "
                f"{row['ratio_to_uniform']:.2f} x uniform  "
                f"{row['milliseconds_a_video']:.1f} ms a video"
            )
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "selection_recall.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
