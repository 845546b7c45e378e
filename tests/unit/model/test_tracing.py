"""A traced step against real ones on a CPU, deep models, and the traces of an earlier study."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.tracer_accuracy import CPU, config, measured, predicted
from ntlbg_model.config import Config, ModelConfig, VideoConfig
from ntlbg_model.footprint import GIB, Step, load_of, training_footprint, weights_of
from ntlbg_model.footprint.shapes import SHAPES, Shape, shape_of
from ntlbg_model.footprint.tower import tower_gib
from ntlbg_model.tracing import trace
from ntlbg_model.tracing.meta_model import Depth, random_backbone
from ntlbg_model.tracing.step import Recipe
from ntlbg_model.tracing.trace import trace_step

PLAIN = Recipe(autocast=False, workspaces=False)
NAIVE = Recipe(autocast=False, workspaces=False, all_logits=True, vision_in_graph=True)
HALF = Step(precision="bf16", attention="sdpa_repeated", master_weights=False)


def seven_billion(kept: int, **model: object) -> Config:
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept),
        model=ModelConfig(**model),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("case", "step"),
    [
        (config(64), replace(CPU, micro_batch=2)),
        (config(64, tuning="full", vision="trained"), replace(CPU, checkpointing=False)),
        (config(64), replace(CPU, precision="bf16", micro_batch=4, checkpointing=False)),
        (config(64, tuning="full"), replace(CPU, accumulation=2)),
    ],
)
def test_a_real_step_takes_what_was_traced(case: Config, step: Step) -> None:
    run_status, real = measured(case, step)
    assert predicted(case, step, run_status) == pytest.approx(real, rel=0.01)


@pytest.mark.parametrize(
    ("kept", "batch", "naive_lora", "lora", "naive_full", "full"),
    [
        (64, 1, 20.7, 17.3, 61.8, 58.0),
        (256, 1, 34.5, 21.1, 65.2, 59.3),
        pytest.param(256, 2, 53.1, 26.3, 84.0, 61.9, marks=pytest.mark.long),
        pytest.param(512, 1, 52.9, 26.2, 83.7, 61.9, marks=pytest.mark.long),
        pytest.param(1024, 1, 89.6, 36.4, 120.9, 67.0, marks=pytest.mark.long),
        pytest.param(1024, 2, 163.3, 57.0, 195.5, 77.5, marks=pytest.mark.long),
    ],
)
def test_allocated_peaks_of_the_7b_are_those_of_an_earlier_study(
    kept: int, batch: int, naive_lora: float, lora: float, naive_full: float, full: float
) -> None:
    step = replace(HALF, micro_batch=batch)
    towers = seven_billion(kept, tuning="full", vision="trained")
    found = [
        trace_step(asked, step, recipe=recipe).allocated
        for asked, recipe in (
            (seven_billion(kept), NAIVE),
            (seven_billion(kept), PLAIN),
            (towers, NAIVE),
            (seven_billion(kept, tuning="full"), PLAIN),
        )
    ]
    assert found == pytest.approx([naive_lora, lora, naive_full, full], rel=0.03)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_trace_and_the_closed_form_count_the_same_things(batch: int) -> None:
    """Also beside what is allocated: what decides near a limit must not leave out a GPU's own."""
    step = Step(precision="bf16", attention="sdpa", micro_batch=batch, accumulation=8)
    asked = seven_billion(320)
    traced, closed = trace_step(asked, step, 0.7), training_footprint(asked, step, 0.7)
    assert traced.context == closed.context == 0.7
    assert traced.reserve == pytest.approx(closed.reserve, rel=0.02)
    assert traced.total == pytest.approx(closed.total, rel=0.03)


@pytest.mark.parametrize(
    ("tuning", "checkpointing"),
    [
        ("lora", False),
        ("full", True),
        pytest.param("lora", True, marks=pytest.mark.long),
        pytest.param("full", False, marks=pytest.mark.long),
    ],
)
def test_a_shallow_trace_stands_for_the_whole_depth(
    tuning: str, checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = seven_billion(64, tuning=tuning, vision="trained" if tuning == "full" else "frozen")
    step = Step(precision="fp16", attention="sdpa", accumulation=4, checkpointing=checkpointing)
    shallow = trace_step(asked, step)
    monkeypatch.setattr(trace, "SHALLOW", 64)
    assert shallow.allocated == pytest.approx(trace_step(asked, step).allocated, rel=1e-6)


def test_grouped_heads_take_the_math_kernel_where_no_flash_kernel_is() -> None:
    """On a V100 the scores themselves are kept unless key and value heads are repeated."""
    repeated = trace_step(seven_billion(256), HALF, recipe=PLAIN)
    eager = trace_step(seven_billion(256), replace(HALF, attention="eager"), recipe=PLAIN)
    assert eager.allocated > 1.5 * repeated.allocated


def test_quantised_bases_are_written_out_only_while_they_are_used() -> None:
    plain, int8, nf4 = (
        trace_step(seven_billion(64, quantisation=kind), HALF) for kind in ("none", "int8", "nf4")
    )
    assert plain.parameters > int8.parameters > nf4.parameters
    assert plain.allocated - nf4.allocated > 0.9 * (plain.parameters - nf4.parameters)


def test_sharding_and_offload_move_states() -> None:
    asked = seven_billion(64, tuning="full")
    step = replace(HALF, master_weights=True, workers=4)
    plain = trace_step(asked, step)
    sharded = trace_step(asked, replace(step, zero_stage=3))
    away = trace_step(asked, replace(step, zero_stage=3, offload="all"))
    assert plain.allocated > sharded.allocated > away.allocated
    assert plain.host == sharded.host == 0
    assert away.host * 4 > 100


@pytest.mark.parametrize("stage", [2, 3])
def test_sharded_gradients_stand_as_shards_with_and_without_accumulation(stage: Any) -> None:
    asked = seven_billion(64, tuning="full")
    step = replace(HALF, master_weights=True, workers=8, zero_stage=stage)
    once, again = (trace_step(asked, replace(step, accumulation=n)) for n in (1, 2))
    assert once == again
    assert once.allocated == pytest.approx(training_footprint(asked, step).allocated, rel=0.01)
    away = trace_step(asked, replace(step, offload="optimizer"))
    assert away.gradients == 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_published_sizes_give_the_models_parameters(shape: Shape) -> None:
    asked = Config(
        model=ModelConfig(base_model="tiny" if shape.name == "tiny" else f"Qwen/{shape.name}")
    )
    depth = Depth(shape.layers, shape.vision_layers)
    backbone = random_backbone(asked.model, HALF, depth, "meta")
    weights = weights_of(asked)
    trained = [w.numel() for w in backbone.model.parameters() if w.requires_grad]
    assert sum(trained) == weights.trained_added
    whole = sum(w.numel() for w in backbone.model.parameters())
    assert whole == weights.trained_added + weights.frozen


@pytest.mark.parametrize(
    "shape", ["tiny", "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"]
)
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(("chunk", "side", "batch"), [(1, 56, 1), (8, 448, 3)])
def test_the_closed_form_of_a_frozen_tower_is_what_is_traced(
    shape: str, chunk: int, side: int, batch: int, precision: Any
) -> None:
    asked = Config(
        video=VideoConfig(max_frames=128, num_representatives=24, frame_resolution=(side, side)),
        model=ModelConfig(base_model=shape),
    )
    step = replace(HALF, precision=precision, micro_batch=batch, vision_chunk=chunk)
    phases = trace.trace_peaks(asked, step).phases
    traced = max(
        items["vision"] for name, items in phases.items() if name.startswith("vision forward")
    )
    closed = tower_gib(shape_of(shape), load_of(asked), step, batch) * GIB
    assert closed == pytest.approx(traced, rel=0.02)


def test_fewer_pairs_at_once_take_less_where_the_tower_takes_the_most() -> None:
    """Pooled to one token a frame, the tokens are few and the frames are large."""
    asked = Config(
        video=VideoConfig(max_frames=512, num_representatives=64, frame_resolution=(224, 224)),
        model=ModelConfig(base_model="tiny", reducer="video_chatgpt"),
    )
    totals = []
    for chunk in (8, 4, 2, 1):
        step = replace(HALF, vision_chunk=chunk)
        closed, traced = training_footprint(asked, step).total, trace_step(asked, step).total
        assert closed == pytest.approx(traced, rel=0.01)
        totals.append(traced)
    assert totals == sorted(totals, reverse=True) and totals[0] > totals[-1]
