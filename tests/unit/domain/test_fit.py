"""A fit changes how a variant runs on a card, never what it learns."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_service.domain.fit import CPU_PROCESS_GIB, Fit, Misfit, choose_precision, fit, predict
from ntlbg_service.domain.profiles import CPU, PROFILES, NodeShape, Profile

NODE = NodeShape(cores=16, host_memory_gib=256)
V100 = PROFILES["V100-32GB"]
A100 = PROFILES["A100-40GB"]
A100_80 = PROFILES["A100-80GB"]


def config(
    frames: int = 4096,
    kept: int | None = None,
    hardware: HardwareConfig | None = None,
    model: ModelConfig | None = None,
    **training: Any,
) -> Config:
    return Config(
        video=VideoConfig(max_frames=frames, num_representatives=kept),
        model=model or ModelConfig(),
        training=TrainingConfig(**training),
        hardware=hardware or HardwareConfig(),
    )


def fitted(config: Config, profile: Profile) -> Fit:
    found = fit(config, profile, NODE)
    assert isinstance(found, Fit), found
    return found


def misfit(config: Config, profile: Profile, node: NodeShape = NODE) -> str:
    found = fit(config, profile, node)
    assert isinstance(found, Misfit), found
    assert found.profile == profile.name
    return found.reason


@given(
    profile=st.sampled_from(list(PROFILES.values())),
    batch=st.integers(1, 96),
    gpus=st.none() | st.integers(1, 8),
    frames=st.sampled_from([64, 512, 2048, 4096]),
    tuning=st.sampled_from(["lora", "full"]),
    base=st.sampled_from(["tiny", "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-7B-Instruct"]),
    checkpointing=st.booleans(),
)
def test_the_global_batch_is_kept_and_the_prediction_is_within_the_limit(
    profile: Profile,
    batch: int,
    gpus: int | None,
    frames: int,
    tuning: Any,
    base: str,
    checkpointing: bool,
) -> None:
    asked = config(
        frames,
        hardware=HardwareConfig(num_gpus=gpus),
        model=ModelConfig(base_model=base, tuning=tuning, gradient_checkpointing=checkpointing),
        global_batch=batch,
    )
    found = fit(asked, profile, NODE)
    if isinstance(found, Misfit):
        assert found.reason
        return
    assert found.micro_batch * found.accumulation * found.workers == batch
    assert found.predicted_gib <= found.limit_gib <= profile.usable_gib
    assert sum(found.memory.values()) == pytest.approx(found.predicted_gib, abs=0.01)
    assert checkpointing or not found.gradient_checkpointing
    assert found.hours > 0
    assert found.gpu_hours == found.hours * found.workers


def test_each_card_computes_in_its_own_precision() -> None:
    assert fitted(config(2048), V100).numerics == "fp16 sdpa_repeated"
    assert fitted(config(2048), A100).numerics == "bf16 flash_attention_2"
    tiny = config(64, model=ModelConfig(base_model="tiny"))
    assert fitted(tiny, CPU).numerics == "fp32 sdpa"


def test_flash_attention_can_be_turned_off() -> None:
    without = config(1024, model=ModelConfig(flash_attention=False))
    assert fitted(without, A100).attention == "sdpa"


def test_an_explicit_precision_wins_where_the_card_has_it() -> None:
    assert fitted(config(1024, precision="fp16"), A100).precision == "fp16"
    assert "precision fp16: as asked for" in fitted(config(1024, precision="fp16"), A100).reasons
    assert choose_precision(config(precision="fp32"), A100) == "fp32"
    assert misfit(config(precision="bf16"), V100) == "training.precision is bf16, which it lacks"
    assert "a CPU has none" in misfit(config(precision="fp16"), CPU)


def test_checkpointing_comes_in_when_nothing_fits_without() -> None:
    asked = config(4096)
    assert "gradient checkpointing: does not fit without" in fitted(asked, A100).reasons
    refused = misfit(config(4096, model=ModelConfig(gradient_checkpointing=False)), A100)
    assert refused.startswith("needs ")
    assert refused.endswith("fewer representatives or a smaller frame_resolution would need less")


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    reason = misfit(config(model=ModelConfig(tuning="full")), A100)
    assert "GiB at micro-batch 1, the limit is 38.2 GiB" in reason
    assert "model.tuning 'lora' would need less" in reason


def test_a_cpu_is_limited_by_its_host() -> None:
    tiny = config(64, model=ModelConfig(base_model="tiny"), global_batch=1)
    assert fitted(tiny, CPU).memory["context"] == CPU_PROCESS_GIB
    assert "the limit is 0.5 GiB" in misfit(tiny, CPU, NodeShape(cores=1, host_memory_gib=0.5))


def test_hardware_wishes_are_kept() -> None:
    pinned = config(1024, hardware=HardwareConfig(profile="A100_40GB"))
    assert fitted(pinned, A100).profile == "A100-40GB"
    assert misfit(pinned, V100) == "hardware.profile asks for A100_40GB"
    uneven = config(1024, hardware=HardwareConfig(num_gpus=3))
    assert misfit(uneven, A100) == (
        "training.global_batch 32 is not a multiple of hardware.num_gpus 3"
    )


def test_more_gpus_take_less_time() -> None:
    one = fitted(config(1024), A100_80)
    four = fitted(config(1024, hardware=HardwareConfig(num_gpus=4)), A100_80)
    assert four.workers == 4
    assert four.hours == pytest.approx(one.hours / 4)
    assert four.gpu_hours == pytest.approx(one.gpu_hours)


@given(st.sampled_from(["V100-32GB", "A100-40GB", "A100-80GB"]), st.integers(1, 8))
def test_more_memory_never_fits_less(name: str, frames: int) -> None:
    profile = PROFILES[name]
    larger = replace(profile, usable_gib=profile.usable_gib * 1.5)
    asked = config(frames * 512)
    if isinstance(fit(asked, profile, NODE), Fit):
        assert fitted(asked, larger).micro_batch >= 1


@given(st.integers(1, 8), st.booleans())
def test_the_prediction_grows_with_the_micro_batch(size: int, checkpointing: bool) -> None:
    smaller = predict(config(), A100, size, checkpointing)
    larger = predict(config(), A100, size + 1, checkpointing)
    assert larger.total > smaller.total
    assert larger.parameters == smaller.parameters
