"""Memory of a training step as four tools predict it: ours, DeepSpeed's and accelerate's.

    pip install -e '.[deepspeed]'        # DS_BUILD_OPS=0; only its Python estimators are used
    python benchmarks/memory_estimators.py [--out DIR]

First, real steps on this CPU, every allocation counted (as in `tracer_accuracy.py`); then steps of
Qwen2-VL on cards, LoRA and full, with ZeRO and without, which no CPU can take: there our tracer is
the reference, and its own accuracy is what the first table shows. DeepSpeed's
`estimate_zero2/3_model_states_mem_needs` are asked twice: with all parameters, as DeepSpeed counts
a live model, and with the trained ones, the frozen weights added by hand. `accelerate
estimate-memory` is asked for 'Training using Adam'. Both predict states and no activations.
"""

import argparse
import json
import os
import platform
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch
from estimators.tools import (
    Counts,
    accelerate,
    closed_form,
    counts_of,
    deepspeed,
    deepspeed_informed,
    traced,
    whole,
)
from estimators.verdicts import LIMITS, Row, groups_of, verdict
from tracer_accuracy import TWO_BILLION, cases, depth_of, measured, predicted

from ntlbg_model.config import Config, ModelConfig, VideoConfig
from ntlbg_model.footprint import GIB, Step
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.tracing.step import micro_batch

GLOBAL_BATCH = 16
KEPT = (88, 440)
"""Frames; not at the knots of the closed form's table."""
SEVEN_BILLION = "Qwen/Qwen2-VL-7B-Instruct"
TOOLS = {
    "tracer": "ours, traced: states, activations, temporaries, logits, vision, ZeRO's buckets",
    "closed form": "ours, without torch: the same",
    "deepspeed": "DeepSpeed, all parameters: states only",
    "deepspeed+": "DeepSpeed, trained parameters, frozen ones by hand: states only",
    "accelerate": "accelerate, Adam: the largest of weights, gradients, moments; no sharding",
}


def real_steps() -> Iterator[Row]:
    """Steps that this machine takes: the tiny model whole, and two blocks of the 2B."""
    for name, case, step in cases():
        depth, tiny = depth_of(case), case.model.base_model == "tiny"
        if step.precision != "fp32" or step.attention != "sdpa" or step.accumulation > 1:
            continue
        run_status, peak = measured(case, step)
        counts = _counted(case, step)
        yield Row(
            name=name if tiny else f"{name}, 2 blocks",
            group=f"{case.model.tuning} fp32",
            reference=peak / GIB,
            predictions={
                # Of blocks, what stands is counted on the model, for every tool alike.
                "tracer": traced(case, step) if tiny else predicted(case, step, run_status) / GIB,
                "closed form": closed_form(case, step) if tiny else None,
                "deepspeed": deepspeed(counts, step),
                "deepspeed+": deepspeed_informed(counts, step),
                "accelerate": accelerate(shape_of(case.model.base_model), depth, step),
            },
        )


def _counted(case: Config, step: Step) -> Counts:
    model = micro_batch(case, step, depth_of(case), "cpu").backbone.model
    sizes = {True: 0, False: 0}
    for weight in model.parameters():
        sizes[weight.requires_grad] += weight.numel()
    return Counts(
        trained=sizes[True],
        frozen=sizes[False],
        largest=max(weight.numel() for weight in model.parameters()),
    )


def steps_on_cards() -> Iterator[Row]:
    """Qwen2-VL in bf16 with FlashAttention-2 and recomputation, at a global batch of 16."""
    bases = {"2B": TWO_BILLION, "7B": SEVEN_BILLION}
    tunings: tuple[Literal["lora", "full"], ...] = ("lora", "full")
    stages: tuple[Literal[0, 2, 3], ...] = (0, 2, 3)
    for tuning, stage, base, kept, batch in product(tunings, stages, bases, KEPT, (1, 2)):
        config = Config(
            video=VideoConfig(max_frames=8192, num_representatives=kept),
            model=ModelConfig(base_model=bases[base], tuning=tuning),
        )
        workers = 8 if stage else 1
        step = Step(
            precision="bf16",
            attention="flash_attention_2",
            micro_batch=batch,
            accumulation=GLOBAL_BATCH // (batch * workers),
            zero_stage=stage,
            workers=workers,
        )
        counts, reference = counts_of(config), traced(config, step)
        yield Row(
            name=f"{base} {tuning} {kept} x {batch}" + (f", ZeRO-{stage} x 8" if stage else ""),
            group=f"{tuning}, " + (f"ZeRO-{stage} on 8" if stage else "one card"),
            reference=reference,
            predictions={
                "tracer": None,
                "closed form": closed_form(config, step),
                "deepspeed": deepspeed(counts, step),
                "deepspeed+": deepspeed_informed(counts, step),
                "accelerate": accelerate(*whole(config), step),
            },
        )


def shown(rows: Iterator[Row], title: str) -> list[Row]:
    """The rows, each printed as it comes."""
    print(f"\n{title}\n{'step':34} {'GiB':>8}  predicted / reference")
    print(" " * 44 + "".join(f"{tool:>13}" for tool in TOOLS))
    found = []
    for row in rows:
        ratios = [row.ratio(tool) for tool in TOOLS]
        cells = "".join(f"{'-' if ratio is None else format(ratio, '.3f'):>13}" for ratio in ratios)
        print(f"{row.name:34} {row.reference:8.3f} {cells}", flush=True)
        found.append(row)
    return found


def summary(rows: Sequence[Row], limits: Sequence[float]) -> dict[str, Any]:
    """Verdicts by group and tool, printed."""
    found: dict[str, Any] = {}
    for group, members in groups_of(rows).items():
        for tool in TOOLS:
            said = verdict(members, tool, limits)
            if said is None:
                continue
            found.setdefault(group, {})[tool] = asdict(said)
            decided = (
                f"; {said.false_fits} false fits, {said.false_refusals} false refusals of "
                f"{said.decisions}"
                if limits
                else ""
            )
            print(
                f"{group:18} {tool:12} {said.steps:3} steps: {said.median:6.3f} "
                f"({said.lowest:.3f} to {said.highest:.3f}){decided}"
            )
    return found


def main() -> None:
    """Compare, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    torch.set_num_threads(1)
    for tool, words in TOOLS.items():
        print(f"{tool:12} {words}")
    real = shown(real_steps(), "Real steps on this CPU, fp32; reference: measured")
    real_verdicts = summary(real, ())
    cards = shown(steps_on_cards(), "Steps on cards; reference: our tracer, not a card")
    cards_verdicts = summary(cards, tuple(LIMITS.values()))
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread",
        "versions": {
            name: version(name)
            for name in ("torch", "transformers", "peft", "deepspeed", "accelerate")
        },
        "tools": TOOLS,
        "limits_gib": LIMITS,
        "not_measured": "anything of CUDA; ZeRO on several devices",
        "real_steps": {"verdicts": real_verdicts, "rows": [asdict(row) for row in real]},
        "cards": {"verdicts": cards_verdicts, "rows": [asdict(row) for row in cards]},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "memory_estimators.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
