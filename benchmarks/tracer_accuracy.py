"""The predicted peak of training steps and answers against real ones on a CPU, byte by byte.

    python benchmarks/tracer_accuracy.py [--out DIR]

Real models with random weights take two optimizer steps on this machine; torch's profiler notes
every allocation of the second, from its first frame to its optimizer. The trace of the same step
on meta tensors must reach the same peak; so must the trace of a batch of questions, and of an
answer in words with its key-value cache. What only a GPU has (context, caching allocator, inner
workspaces of its kernels) is not in it: `benchmarks/results` says so.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from ntlbg_model.config import (
    Config,
    ModelConfig,
    RichPointsConfig,
    TemporalConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.footprint import Step
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.modeling.generation import generate
from ntlbg_model.tracing.answers import record_answers, record_generation
from ntlbg_model.tracing.meta_model import Depth
from ntlbg_model.tracing.peaks import peaks_of
from ntlbg_model.tracing.step import MicroBatch, half_of, micro_batch, record_step

MIB = 1024**2
TWO_BILLION = "Qwen/Qwen2-VL-2B-Instruct"
CPU = Step(precision="fp32", attention="sdpa", cpu=True)
"""Where a case says nothing else."""


def config(kept: int, side: int = 56, **model: Any) -> Config:
    """Videos of which `kept` frames of `side` pixels are kept."""
    return Config(
        video=VideoConfig(max_frames=512, num_representatives=kept, frame_resolution=(side, side)),
        model=ModelConfig(**{"base_model": "tiny"} | model),
        training=TrainingConfig(
            max_steps=0 if model.get("tuning") == "none" else 10, warmup_steps=0
        ),
    )


def cases() -> Iterator[tuple[str, Config, Step]]:
    """Name, config and step of each comparison."""
    for checkpointing in (True, False):
        on = "recomputed" if checkpointing else "kept"
        step = replace(CPU, checkpointing=checkpointing)
        for kept, batch in ((16, 4), (64, 1), (64, 8), (256, 2)):
            yield f"lora {kept} x {batch}, {on}", config(kept), replace(step, micro_batch=batch)
        yield f"full 64 x 4, {on}", config(64, tuning="full"), replace(step, micro_batch=4)
        trained = config(64, tuning="full", vision="trained")
        yield f"full with tower 64 x 2, {on}", trained, replace(step, micro_batch=2)
        yield f"lora eager 64 x 2, {on}", config(64), replace(step, attention="eager")
        repeated = replace(step, attention="sdpa_repeated", micro_batch=2)
        yield f"lora repeated 64 x 2, {on}", config(64), repeated
        several = replace(step, micro_batch=2, accumulation=2)
        yield f"full accumulating 64 x 2, {on}", config(64, tuning="full"), several
        for half in ("bf16", "fp16"):
            mixed = replace(step, precision=half, micro_batch=4)  # type: ignore[arg-type]
            yield f"lora {half} autocast 64 x 4, {on}", config(64), mixed
        masters = replace(step, precision="bf16", micro_batch=4)
        yield f"full bf16 with masters 64 x 4, {on}", config(64, tuning="full"), masters
        pure = replace(masters, master_weights=False)
        yield f"full pure bf16 64 x 4, {on}", config(64, tuning="full"), pure
    yield "lora 112 pixels 64 x 2", config(64, side=112), replace(CPU, micro_batch=2)
    yield "lora rank 64", config(64, lora_rank=64), replace(CPU, micro_batch=2)
    yield "tower in chunks of 2", config(64), replace(CPU, vision_chunk=2)
    rich = config(64, rich_points=RichPointsConfig(enabled=True))
    yield "rich points", rich, replace(CPU, micro_batch=2)
    temporal = config(64, temporal=TemporalConfig(layers=2))
    yield "temporal layers", temporal, replace(CPU, micro_batch=2)
    wide = config(16, base_model=TWO_BILLION)
    yield "lora 2B width", wide, CPU
    yield "lora 2B width, kept", wide, replace(CPU, checkpointing=False)
    yield "lora 2B width, bf16", wide, replace(CPU, precision="bf16", micro_batch=2)
    yield "full 2B width", config(16, base_model=TWO_BILLION, tuning="full"), CPU


def answers() -> Iterator[tuple[str, Config, Step, int]]:
    """Name, config, step and new tokens of each comparison of answers; 0 tokens: a batch of
    questions that are answered by their next token."""
    asked = replace(CPU, questions=4)
    plain = config(64, tuning="none")
    yield "4 questions, plain", plain, asked, 0
    yield "4 questions, lora", config(64), asked, 0
    half = replace(asked, precision="bf16")
    yield "4 questions, lora bf16 autocast", config(64), half, 0
    yield "4 questions, full bf16 with masters", config(64, tuning="full"), half, 0
    yield "1 question of 256 frames", config(256), replace(asked, questions=1), 0
    wide = config(16, tuning="none", base_model=TWO_BILLION)
    yield "2 questions, 2B width", wide, replace(asked, questions=2), 0
    yield "answer of 8 tokens", plain, CPU, 8
    yield "answer of 64 tokens", plain, CPU, 64
    yield "answer of 8 tokens, 2B width", wide, CPU, 8


def depth_of(case: Config) -> Depth:
    """Whole models where they are small; two blocks of each kind of a published one."""
    shape = shape_of(case.model.base_model)
    return Depth(min(3, shape.layers), 2) if shape.name == "tiny" else Depth(2, 2)


def measured(case: Config, step: Step) -> tuple[int, int]:
    """(bytes that stand through the step, peak of all) of a real step."""
    torch.manual_seed(0)
    batch = micro_batch(case, step, depth_of(case), "cpu")
    model = batch.backbone.model
    if step.checkpointing:
        batch.backbone.base.activation_checkpointing_enable({"use_reentrant": False})
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True)
    half = half_of(step)

    def autocast() -> AbstractContextManager[object]:
        return nullcontext() if half is None else torch.autocast("cpu", dtype=half)

    _optimizer_step(batch, step, autocast, optimizer)
    states = [v for s in optimizer.state.values() for v in s.values() if v.numel() > 1]
    inputs = (batch.prompt.pixels, batch.prompt.input_ids)
    run_status = sum(t.nbytes for t in (*model.parameters(), *model.buffers(), *states, *inputs))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        _optimizer_step(batch, step, autocast, optimizer)
    return run_status, run_status + highest(found)


def measured_answers(case: Config, step: Step, new_tokens: int) -> tuple[int, int]:
    """(bytes that stand, peak of all) of real answers."""
    torch.manual_seed(0)
    asked = replace(step, micro_batch=1 if new_tokens else step.questions)
    batch = micro_batch(case, asked, depth_of(case), "cpu")
    model = batch.backbone.model.eval()
    half = half_of(step) if case.training.max_steps > 0 else None
    inputs = (batch.prompt.pixels, batch.prompt.input_ids)
    run_status = sum(t.nbytes for t in (*model.parameters(), *model.buffers(), *inputs))

    def answer() -> None:
        if new_tokens:
            generate(batch.backbone, batch.prompt, batch.features(), max_new_tokens=new_tokens)
        else:
            with nullcontext() if half is None else torch.autocast("cpu", dtype=half):
                batch.answers()

    with torch.no_grad():
        answer()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            answer()
    return run_status, run_status + highest(found)


def predicted_answers(case: Config, step: Step, new_tokens: int, run_status: int) -> int:
    """The peak of the same answers, from their trace."""
    if new_tokens:
        recorder = record_generation(case, step, depth_of(case), new_tokens)
    else:
        recorder = record_answers(case, step, depth_of(case))
    highest = max(sum(items.values()) for items in peaks_of(recorder).phases.values())
    return int(run_status + highest) - sum(block.size for block in recorder.inputs)


def _optimizer_step(
    batch: MicroBatch,
    step: Step,
    autocast: Callable[[], AbstractContextManager[object]],
    optimizer: torch.optim.Optimizer,
) -> None:
    for _ in range(step.accumulation):
        batch.loss(autocast).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def highest(found: profile) -> int:
    events = found.profiler.kineto_results.events()  # type: ignore[union-attr]
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    held = highest = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        held += change
        highest = max(highest, held)
    return highest


def predicted(case: Config, step: Step, run_status: int) -> int:
    """The peak of the same step, from its trace."""
    recorder = record_step(case, step, depth_of(case))
    peaks = peaks_of(recorder)
    highest = max(sum(items.values()) for items in peaks.phases.values())
    kept = sum(block.size for block in recorder.blocks if block.kind == "kept")
    inputs = sum(block.size for block in recorder.inputs)
    return int(run_status + kept + highest) - inputs


def compared(
    name: str, run_status: int, real: int, predict: Callable[[int], int]
) -> dict[str, str | float]:
    """One row, printed."""
    found = predict(run_status)
    of_total, of_dynamic = found / real - 1, (found - real) / (real - run_status)
    print(
        f"{name:38} {real / MIB:12.2f} {found / MIB:10.2f} "
        f"{100 * of_total:+9.3f} % {100 * of_dynamic:+9.3f} %",
        flush=True,
    )
    return {
        "case": name,
        "measured_mib": real / MIB,
        "predicted_mib": found / MIB,
        "error_of_total": of_total,
        "error_of_dynamic": of_dynamic,
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'step':38} {'measured MiB':>12} {'predicted':>10}   of total  of what moves")
    rows = [
        compared(name, *measured(case, step), partial(predicted, case, step))
        for name, case, step in cases()
    ]
    rows += [
        compared(
            name,
            *measured_answers(case, step, tokens),
            partial(predicted_answers, case, step, tokens),
        )
        for name, case, step, tokens in answers()
    ]
    errors = [abs(float(row["error_of_total"])) for row in rows]
    dynamic = [abs(float(row["error_of_dynamic"])) for row in rows]
    print(
        f"{len(rows)} steps and answers: largest error {100 * max(errors):.3f} % of the total, "
        f"mean {100 * mean(errors):.3f} %; {100 * max(dynamic):.3f} % of what moves"
    )
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread",
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "largest_error_of_total": max(errors),
        "mean_error_of_total": mean(errors),
        "largest_error_of_dynamic": max(dynamic),
        "not_measured": "anything of CUDA: context, caching allocator, workspaces of its kernels",
        "rows": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "tracer_accuracy.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
