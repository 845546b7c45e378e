"""The closed form against traces of the real Qwen2-VL-7B step on meta tensors.

The traced figures (allocator model, mem-efficient attention, checkpointing, frozen vision tower in
chunks, logits on the answer) are of a study outside this repository; none was measured on a GPU.
"""

from dataclasses import replace
from typing import Any

import pytest

from ntlbg_model.config import Config, ModelConfig, SelectionConfig, VideoConfig
from ntlbg_model.footprint import Footprint, Step, load_of, training_flops, training_footprint
from ntlbg_model.footprint.shapes import QWEN2_VL_2B, QWEN2_VL_7B, TINY, shape_of
from ntlbg_model.geometry.selector_size import selector_parameters


def config(kept: int, **model: Any) -> Config:
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept), model=ModelConfig(**model)
    )


def predicted(config: Config, **changed: Any) -> Footprint:
    arguments: dict[str, Any] = {
        "precision": "bf16",
        "attention": "sdpa",
        "master_weights": False,
    }
    return training_footprint(config, Step(**arguments | changed))


@pytest.mark.parametrize(
    ("kept", "batch", "traced_gib"),
    [
        (64, 1, 17.7),
        (256, 1, 22.4),
        (256, 2, 28.6),
        (512, 1, 28.5),
        (1024, 1, 40.2),
        (1024, 2, 64.1),
    ],
)
def test_adapters_agree_with_traces(kept: int, batch: int, traced_gib: float) -> None:
    found = predicted(config(kept), micro_batch=batch)
    assert found.total - found.context == pytest.approx(traced_gib, rel=0.05)


@pytest.mark.parametrize(
    ("kept", "batch", "traced_gib"),
    [(64, 1, 59.4), (256, 1, 62.2), (512, 1, 65.8), (1024, 2, 82.4)],
)
def test_full_tuning_is_not_predicted_below_the_traces(
    kept: int, batch: int, traced_gib: float
) -> None:
    found = predicted(config(kept, tuning="full"), micro_batch=batch)
    assert found.total - found.context >= 0.97 * traced_gib


def test_without_checkpointing_a_trained_tower_keeps_all_it_computed() -> None:
    kept, again = (
        predicted(config(64, tuning="full", vision="trained"), checkpointing=checkpointing)
        for checkpointing in (False, True)
    )
    assert kept.vision > 8 * again.vision


def test_remembered_features_take_host_memory() -> None:
    tiny = config(64, base_model="tiny", vision_cache_mib=1024)
    assert predicted(tiny, cpu=True).vision_cache == 1.0
    assert predicted(tiny).vision_cache == 0.0
    assert (
        predicted(tiny, cpu=True).total > predicted(config(64, base_model="tiny"), cpu=True).total
    )


def test_the_load_counts_the_longest_video() -> None:
    load = load_of(config(256))
    assert (load.frames, load.patches, load.visual_tokens, load.tokens) == (256, 32768, 8192, 8320)
    everything = replace(config(256), selection=SelectionConfig(method="all_frames"))
    assert load_of(everything).frames == 8192


def test_masters_and_quantisation_change_what_is_stored() -> None:
    full = config(64, tuning="full")
    assert predicted(full, master_weights=True).optimizer == pytest.approx(
        2 * predicted(full).optimizer
    )
    stored = [
        predicted(config(64, quantisation=kind)).parameters for kind in ("none", "int8", "nf4")
    ]
    assert stored == sorted(stored, reverse=True)
    blocks = QWEN2_VL_7B.layers * QWEN2_VL_7B.linear_parameters
    assert stored[0] - stored[1] == pytest.approx(blocks / 1024**3)


def test_a_cpu_has_no_driver_and_no_caching_allocator() -> None:
    found = predicted(config(64, base_model="tiny"), cpu=True, precision="fp32")
    assert found.reserve == found.context == 0.0
    assert not found.traced


def test_an_unknown_model_is_taken_for_the_large_one() -> None:
    assert shape_of("tiny") is TINY
    assert shape_of("Qwen/Qwen2-VL-2B-Instruct") is QWEN2_VL_2B
    assert shape_of("Qwen/Qwen2-VL-7B-Instruct") == QWEN2_VL_7B
    assert shape_of("/models/mine") == replace(QWEN2_VL_7B, traced=False)


def test_work_grows_with_steps_and_frames() -> None:
    base = config(256)
    twice = replace(base, training=replace(base.training, max_steps=20_000))
    assert training_flops(twice) == pytest.approx(2 * training_flops(base))
    assert training_flops(config(512)) > 2 * training_flops(base)


def test_a_learned_selector_is_counted() -> None:
    plain = config(64)
    learned = replace(plain, selection=SelectionConfig(query="learned"))
    assert selector_parameters(plain, 3584) == 0
    count = selector_parameters(learned, 3584)
    assert count == pytest.approx(47e6, rel=0.02)
    without, with_it = predicted(plain), predicted(learned)
    assert with_it.parameters - without.parameters == pytest.approx(4 * count / 1024**3)
    assert with_it.optimizer - without.optimizer == pytest.approx(8 * count / 1024**3)
