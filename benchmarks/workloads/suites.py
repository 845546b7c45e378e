"""Suites as JSON, drawn at random: what a variant asks for, how long it trains, on how many GPUs.

Two draws:

`random_mix`: base model, tuning, frames, resolution and global batch each evenly from what the
shipped suites use; 300 to 10,000 steps, log-uniform; the number of GPUs is the fit's choice for
half of the shapes and 1, 2, 4 or 8 for the others.

`philly_shaped`: number of GPUs and duration as Gavel's simulator samples Microsoft's Philly trace
(Jeon et al., USENIX ATC 2019): 1, 2, 4 and 8 GPUs for 70, 10, 15 and 5 % of the jobs;
10^x minutes with x even in [1.5, 3] for 80 % and in [3, 4] for 20 % (read in
`scheduler/scheduler.py` of github.com/stanford-futuredata/gavel, Narayanan et al., OSDI 2020, on
2026-11-25; the trace itself was not read). The duration is that on a GPU of the slowest kind that
the variant fits, which the number of steps is set to give.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ntlbg_model.config import Config
from ntlbg_service.domain.hardware.inventory import Inventory
from ntlbg_service.domain.planning.fitter import Fitter
from ntlbg_service.domain.resolve import Layer, resolve

MAIN = Path(__file__).parents[2] / "configs" / "longvideo_config.json"
DATA = [{"name": "LongVideoBench", "path": "longvideobench"}]
GROUP_SIZE = 5
"""Variants that are compared with each other."""
REFERENCE_STEPS = 1000
"""Steps of the fits from which a duration becomes a number of steps."""


def random_mix(seed: int, variants: int, shapes: int, inventory: Inventory) -> dict[str, Any]:
    """A suite of so many variants of so many distinct shapes."""
    draw = random.Random(seed)
    drawn = [
        _steps(_that_fits(draw, inventory, (None, None, None, None, 1, 2, 4, 8)), draw)
        for _ in range(shapes)
    ]
    return _suite(f"random_mix_{seed}", draw, drawn, variants)


def philly_shaped(seed: int, variants: int, shapes: int, inventory: Inventory) -> dict[str, Any]:
    """A suite whose runs take as many GPUs and as long as jobs of the trace."""
    draw = random.Random(seed)
    drawn = []
    for _ in range(shapes):
        gpus = draw.choices((1, 2, 4, 8), weights=(70, 10, 15, 5))[0]
        exponent = draw.uniform(1.5, 3) if draw.random() < 0.8 else draw.uniform(3, 4)
        overrides = _that_fits(draw, inventory, (gpus,))
        drawn.append(_lasting(overrides, 10**exponent / 60, inventory))
    return _suite(f"philly_shaped_{seed}", draw, drawn, variants)


def _that_fits(
    draw: random.Random, inventory: Inventory, gpus: Sequence[int | None]
) -> dict[str, Any]:
    """Overrides of a variant that fits some kind of GPU of the inventory."""
    while True:
        frames = draw.choice((512, 1024, 2048, 4096, 8192))
        overrides = {
            "model.base_model": draw.choice(
                ("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-7B-Instruct")
            ),
            "model.tuning": draw.choice(("lora", "lora", "full")),
            "video.max_frames": frames,
            "video.num_representatives": frames // draw.choice((4, 8, 16)),
            "training.global_batch": draw.choice((16, 32, 64)),
            "hardware.num_gpus": draw.choice(tuple(gpus)),
        }
        fits, _ = Fitter(inventory)(_config(overrides))
        if fits:
            return overrides


def _config(overrides: dict[str, Any]) -> Config:
    config = resolve([Layer("drawn", overrides)]).config
    training = replace(config.training, max_steps=REFERENCE_STEPS, warmup_steps=0)
    return replace(config, training=training)


def _steps(overrides: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    low, high = 300, 10_000
    steps = round(low * (high / low) ** draw.random())
    return overrides | {"training.max_steps": steps, "training.warmup_steps": 0}


def _lasting(overrides: dict[str, Any], hours: float, inventory: Inventory) -> dict[str, Any]:
    fits, _ = Fitter(inventory)(_config(overrides))
    slowest = max(fit.hours for fit in fits)
    steps = max(1, round(REFERENCE_STEPS * hours / slowest))
    return overrides | {"training.max_steps": steps, "training.warmup_steps": 0}


def _suite(
    name: str, draw: random.Random, shapes: Sequence[dict[str, Any]], variants: int
) -> dict[str, Any]:
    """Groups of variants; variants of one shape differ in their learning rate, as an ablation's
    would."""
    rows = [shapes[number % len(shapes)] for number in range(variants)]
    draw.shuffle(rows)
    named = [
        {
            "name": f"v{number:05d}",
            "overrides": shape | {"training.learning_rate": 1e-5 * (1 + number)},
        }
        for number, shape in enumerate(rows)
    ]
    groups = {
        f"group_{start // GROUP_SIZE:04d}": {
            "baseline": named[start]["name"],
            "variants": named[start : start + GROUP_SIZE],
        }
        for start in range(0, variants, GROUP_SIZE)
    }
    return {
        "name": name,
        "config": str(MAIN),
        "overrides": {"data.train": DATA, "data.evaluation": DATA},
        "seeds": [1, 2, 3, 4, 5],
        "groups": groups,
    }
