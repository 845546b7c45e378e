"""The closed form of a step's memory against traces of random configurations that it never saw.

    python benchmarks/closed_form_accuracy.py [--configurations 200] [--out DIR]

Both sides see the same configuration in one run. A false 'fits' is one that the closed form puts
below a card's limit and a trace above it; within 15 % of the limit a trace decides anyway.
"""

import argparse
import json
import os
import platform
import random
import time
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ntlbg_model.config import Config, ModelConfig, VideoConfig
from ntlbg_model.footprint import Step, training_footprint
from ntlbg_model.footprint.fitted import regime_of
from ntlbg_model.tracing.trace import trace_step

BASES = ("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct")
LIMITS = (30.7, 38.2, 76.8)
BAND = 0.15


def configuration(rng: random.Random) -> tuple[Config, Step]:
    """A variant and a way of running it, none of them at a knot of the table."""
    tuning = rng.choice(["lora", "lora", "full"])
    trained = tuning == "full" and rng.random() < 0.3
    side = rng.choice([140, 224, 252])
    config = Config(
        video=VideoConfig(
            max_frames=8192,
            num_representatives=8 * rng.randint(3, 80),
            frame_resolution=(side, side),
        ),
        model=ModelConfig(
            base_model=rng.choice(BASES),
            tuning=tuning,  # type: ignore[arg-type]
            vision="trained" if trained else "frozen",
            lora_rank=rng.choice([8, 16, 32, 128]),
        ),
    )
    precision = rng.choice(["bf16", "fp16", "fp32"])
    attention = rng.choice(["flash_attention_2", "sdpa_repeated"])
    step = Step(
        precision=precision,  # type: ignore[arg-type]
        attention="sdpa_repeated" if precision == "fp32" else attention,  # type: ignore[arg-type]
        micro_batch=rng.choice([1, 1, 2, 3]),
        accumulation=8,
        checkpointing=rng.random() < 0.75,
    )
    if rng.random() < 0.25:
        step = replace(step, zero_stage=rng.choice([2, 3]), workers=4)  # type: ignore[arg-type]
    return config, step


def compared(rng: random.Random) -> dict[str, Any]:
    """One configuration on both sides."""
    config, step = configuration(rng)
    started = time.perf_counter()
    found = training_footprint(config, step)
    closed_seconds = time.perf_counter() - started
    started = time.perf_counter()
    traced = trace_step(config, step)
    false_fits = [
        limit
        for limit in LIMITS
        if found.allocated <= (1 - BAND) * limit and traced.allocated > limit
    ]
    return {
        "base": config.model.base_model,
        "regime": regime_of(config, step),
        "frames": config.video.num_representatives,
        "side": config.video.frame_resolution[0],
        "micro_batch": step.micro_batch,
        "closed_gib": found.allocated,
        "traced_gib": traced.allocated,
        "error": found.allocated / traced.allocated - 1,
        "false_fits": false_fits,
        "closed_microseconds": 1e6 * closed_seconds,
        "traced_seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configurations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    rng = random.Random(arguments.seed)
    rows = [compared(rng) for _ in range(arguments.configurations)]
    errors = sorted(abs(row["error"]) for row in rows)
    times = sorted(row["closed_microseconds"] for row in rows)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "seed": arguments.seed,
        "configurations": len(rows),
        "error_median": errors[len(errors) // 2],
        "error_p95": errors[int(0.95 * (len(errors) - 1))],
        "error_largest": errors[-1],
        "false_fits_outside_band": sum(bool(row["false_fits"]) for row in rows),
        "closed_microseconds_median": times[len(times) // 2],
        "traced_seconds_median": sorted(row["traced_seconds"] for row in rows)[len(rows) // 2],
        "rows": rows,
    }
    for name, value in record.items():
        if name != "rows":
            print(f"{name:28} {value}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "closed_form_accuracy.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
