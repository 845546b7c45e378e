"""Traces steps and answers in every regime and writes the table that `footprint.fitted` reads.

    python -m ntlbg_model.tracing.fit_coefficients [SHAPE ...]

About half an hour a base model on one core. Phases that never hold the most are left out.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ntlbg_model.footprint.fitted as fitted
from ntlbg_model.config import Config, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint.load import load_of
from ntlbg_model.footprint.shapes import QWEN2_VL_2B, QWEN2_VL_7B, TINY, Shape
from ntlbg_model.geometry.step_shape import Step
from ntlbg_model.tracing.allocator import Held, held_by
from ntlbg_model.tracing.answers import record_answers
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.peaks import Peaks
from ntlbg_model.tracing.step import record_step
from ntlbg_model.tracing.trace import answer_peaks, trace_peaks

SIDES = {TINY.name: 56}
"""Pixels of a frame's side; 224 where nothing is said."""
KEPT = (16, 64, 256, 1024)
"""Frames kept at the knots."""
OTHER_RANK = 64
LOADS = ((64, 1), (256, 1), (256, 2))
"""Frames kept and samples of the micro-batches that the allocator is simulated with."""
SHORTER = {64: 40, 256: 160}
"""Frames kept of the video before."""
SHAPES = (TINY, QWEN2_VL_2B, QWEN2_VL_7B)
PATH = Path(fitted.__file__).with_name(fitted.TABLE)


def case(shape: Shape, kept: int, tuning: str, rank: int = fitted.RANK) -> Config:
    """A config of a shape that keeps so many frames."""
    side = SIDES.get(shape.name, 224)
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept, frame_resolution=(side, side)),
        model=ModelConfig(
            base_model="tiny" if shape is TINY else f"Qwen/{shape.name}-Instruct",
            tuning=tuning if tuning in ("lora", "none") else "full",  # type: ignore[arg-type]
            vision="trained" if tuning == "tower" else "frozen",
            lora_rank=rank,
        ),
        training=TrainingConfig(max_steps=0 if tuning == "none" else 1, warmup_steps=0),
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


def answering(shape: Shape) -> Iterator[tuple[str, Step]]:
    """Tuning and step of every regime of answers."""
    for tuning in ("none", "lora", "full", "tower"):
        for attention in ("sdpa", "sdpa_repeated"):
            half: dict[str, Any] = {"precision": "bf16", "attention": attention}
            yield tuning, Step(**half)
            if tuning != "none":
                yield tuning, Step(**half, zero_stage=1)
        if tuning != "none":
            full: dict[str, Any] = {"precision": "fp32", "attention": "sdpa_repeated"}
            yield tuning, Step(**full)
            if shape is TINY:
                yield tuning, Step(**full, cpu=True)


def row(shape: Shape, tuning: str, step: Step, answers: bool) -> dict[str, Any]:
    """One regime's knots and phases."""
    trace = answer_peaks if answers else trace_peaks
    cases = [case(shape, kept, tuning) for kept in KEPT]
    traced = [trace(config, step) for config in cases]
    wider = traced[0]
    if tuning == "lora":
        wider = trace(case(shape, KEPT[0], tuning, OTHER_RANK), step)
    loads = [load_of(config) for config in cases]
    made: dict[str, Any] = {
        "tokens": [load.tokens for load in loads],
        "patches": [load.patches for load in loads],
        "reserve": 0.0 if step.cpu else round(reserve(shape, tuning, step, answers), 3),
        "phases": [_phase(name, traced, wider) for name in _highest(traced, wider)],
    }
    if tuning == "full" and not answers:
        made["alone"] = alone(cases, step)
    return made


def alone(cases: list[Config], step: Step) -> list[dict[str, Any]]:
    """Phases of steps of a single micro-batch, where gradients come one by one."""
    single = replace(step, accumulation=1)
    if step.deepspeed:
        single = replace(single, zero_stage=0, master_weights=False)
    traced = [trace_peaks(config, single) for config in cases]
    items = (*fitted.ITEMS, "gradients")
    return [
        {"items": {item: [round(p.phases[name][item]) for p in traced] for item in items}}
        for name in _highest(traced)
    ]


def reserve(shape: Shape, tuning: str, step: Step, answers: bool) -> float:
    """The largest share of what moves that the allocator needs beside it, at full depth."""
    shares = []
    for kept, batch in LOADS:
        asked = replace(step, micro_batch=batch, questions=batch)
        long, short = case(shape, kept, tuning), case(shape, SHORTER[kept], tuning)
        served = _answers if answers else _steps
        found, run_status = served(shape, short, long, asked)
        moving = found.allocated - run_status
        shares.append((found.needed - found.allocated) / moving)
    return max(shares)


def _answers(shape: Shape, short: Config, long: Config, step: Step) -> tuple[Held, int]:
    depth = Depth(shape.layers, min(2, shape.vision_layers))
    batches = [record_answers(config, step, depth).blocks for config in (short, long)]
    return held_by(batches), 0


def _steps(shape: Shape, short: Config, long: Config, step: Step) -> tuple[Held, int]:
    """A shorter micro-batch, then one of the longest videos; and the bytes of the gradients that
    the first leaves behind. DeepSpeed takes each gradient away as it comes."""
    trained = long.model.vision == "trained"
    depth = Depth(shape.layers, shape.vision_layers if trained else min(2, shape.vision_layers))
    first = record_step(short, replace(step, accumulation=1), depth).blocks
    if not step.deepspeed:
        later = record_step(long, step, depth).blocks
        return held_by([first, later]), sum(b.size for b in first if b.kind == "gradients")
    later = record_step(long, replace(step, accumulation=1), depth).blocks
    for block in (*first, *later):
        if block.kind == "gradients" and block.died < 0:
            block.died = block.born + 1
    return held_by([first, later]), 0


def _highest(traced: list[Peaks], *more: Peaks) -> list[str]:
    """Phases that hold the most at some knot, or nearly."""
    names: list[str] = []
    for peaks in (*traced, *more):
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


def _rows(shape: Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    for found, answers in ((regimes(shape), False), (answering(shape), True)):
        for tuning, step in found:
            key = fitted.regime_of(case(shape, KEPT[0], tuning), step, answers)
            made = row(shape, tuning, step, answers)
            print(shape.name, key, made["reserve"], flush=True)
            yield key, made


def main(names: list[str]) -> None:
    """Trace the named base models, all of them by default, and write the table."""
    warnings.filterwarnings("ignore")
    found = json.loads(PATH.read_text()) if PATH.exists() else {}
    for shape in SHAPES:
        if not names or shape.name in names:
            found[shape.name] = dict(_rows(shape))
    PATH.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
