"""Traces steps in every regime and writes the table that `footprint.fitted` reads.

    python -m ntlbg_model.tracing.fit_coefficients [SHAPE ...]

About two minutes a base model on one core. Phases that never hold the most are left out.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ntlbg_model.footprint.fitted as fitted
from ntlbg_model.config import Config, ModelConfig, VideoConfig
from ntlbg_model.footprint.load import load_of
from ntlbg_model.footprint.shapes import QWEN2_VL_2B, QWEN2_VL_7B, TINY, Shape
from ntlbg_model.footprint.step import Step
from ntlbg_model.tracing.peaks import Peaks
from ntlbg_model.tracing.trace import trace_peaks

SIDES = {TINY.name: 56}
"""Pixels of a frame's side; 224 where nothing is said."""
KEPT = (16, 64, 256, 1024)
"""Frames kept at the knots."""
OTHER_RANK = 64
SHAPES = (TINY, QWEN2_VL_2B, QWEN2_VL_7B)
PATH = Path(fitted.__file__).with_name(fitted.TABLE)


def case(shape: Shape, kept: int, tuning: str, rank: int = fitted.RANK) -> Config:
    """A config of a shape that keeps so many frames."""
    side = SIDES.get(shape.name, 224)
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept, frame_resolution=(side, side)),
        model=ModelConfig(
            base_model="tiny" if shape is TINY else f"Qwen/{shape.name}-Instruct",
            tuning="lora" if tuning == "lora" else "full",
            vision="trained" if tuning == "tower" else "frozen",
            lora_rank=rank,
        ),
    )


def regimes(shape: Shape) -> Iterator[tuple[str, Step]]:
    """Tuning and step of every regime."""
    for tuning in ("lora", "full", "tower"):
        for checkpointing in (True, False):
            common: dict[str, Any] = {"checkpointing": checkpointing, "accumulation": 2}
            for attention in ("sdpa", "sdpa_repeated"):
                half = {"precision": "bf16", "attention": attention, **common}
                yield tuning, Step(**half)
                yield tuning, Step(**half, zero_stage=1)
            full = {"precision": "fp32", "attention": "sdpa_repeated", **common}
            yield tuning, Step(**full)
            if shape is TINY:
                yield tuning, Step(**full, cpu=True)


def row(shape: Shape, tuning: str, step: Step) -> dict[str, Any]:
    """One regime's knots and phases."""
    cases = [case(shape, kept, tuning) for kept in KEPT]
    traced = [trace_peaks(config, step) for config in cases]
    wider = traced[0]
    if tuning == "lora":
        wider = trace_peaks(case(shape, KEPT[0], tuning, OTHER_RANK), step)
    loads = [load_of(config) for config in cases]
    return {
        "tokens": [load.tokens for load in loads],
        "patches": [load.patches for load in loads],
        "phases": [_phase(name, traced, wider) for name in _highest(traced, wider)],
    }


def _highest(traced: list[Peaks], wider: Peaks) -> list[str]:
    """Phases that hold the most at some knot, or nearly."""
    names: list[str] = []
    for peaks in (*traced, wider):
        sums = {name: sum(items.values()) for name, items in peaks.phases.items()}
        names += [name for name, held in sums.items() if held > 0.9 * max(sums.values())]
    return sorted(set(names))


def _phase(name: str, traced: list[Peaks], wider: Peaks) -> dict[str, Any]:
    first = traced[0].phases[name]
    more = OTHER_RANK - fitted.RANK
    return {
        "items": {item: [round(p.phases[name][item]) for p in traced] for item in fitted.ITEMS},
        "rank": {
            item: round((wider.phases[name][item] - first[item]) / more, 1) for item in fitted.ITEMS
        },
    }


def main(names: list[str]) -> None:
    """Trace the named base models, all of them by default, and write the table."""
    warnings.filterwarnings("ignore")
    found = json.loads(PATH.read_text()) if PATH.exists() else {}
    for shape in SHAPES:
        if not names or shape.name in names:
            rows = {}
            for tuning, step in regimes(shape):
                key = fitted.regime_of(case(shape, KEPT[0], tuning), step)
                rows[key] = row(shape, tuning, step)
                print(shape.name, key, flush=True)
            found[shape.name] = rows
    PATH.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
