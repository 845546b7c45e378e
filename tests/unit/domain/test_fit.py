"""A fit changes how a variant runs on a card, never what it learns."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.domain.candidates import choose_precision
from ntlbg_service.domain.estimates import Calibration
from ntlbg_service.domain.fit import CPU_PROCESS_GIB, Fit, Misfit, fit
from ntlbg_service.domain.profiles import CPU, PROFILES, NodeShape, Profile

NODE = NodeShape(cores=16, host_memory_gib=256)
LONE = NodeShape(cores=16, host_memory_gib=32)
"""One GPU, and too little host memory to offload to."""
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
    said = [words for words in fitted(asked, A100).reasons if "checkpointing" in words]
    assert said and "instead of" in said[0]
    refused = misfit(config(4096, model=ModelConfig(gradient_checkpointing=False)), A100, LONE)
    assert refused.startswith("needs ")
    assert refused.endswith("fewer representatives or a smaller frame_resolution would need less")


def test_what_does_not_fit_is_refused_with_numbers() -> None:
    reason = misfit(config(1024, model=ModelConfig(tuning="full")), A100, LONE)
    assert "GiB at micro-batch 1" in reason and "the limit is 38.2 GiB" in reason
    assert "model.tuning 'lora' would need" in reason


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
    assert one.hours / 4 < four.hours < one.hours / 3.5
    assert one.gpu_hours < four.gpu_hours


@given(st.sampled_from(["V100-32GB", "A100-40GB", "A100-80GB"]), st.integers(1, 8))
def test_more_memory_never_fits_less(name: str, frames: int) -> None:
    profile = PROFILES[name]
    larger = replace(profile, usable_gib=profile.usable_gib * 1.5)
    asked = config(frames * 512)
    if isinstance(fit(asked, profile, NODE), Fit):
        assert fitted(asked, larger).micro_batch >= 1


@given(st.integers(1, 8), st.booleans())
def test_the_prediction_grows_with_the_micro_batch(size: int, checkpointing: bool) -> None:
    step = Step(
        precision="bf16",
        attention="flash_attention_2",
        accumulation=2,
        micro_batch=size,
        checkpointing=checkpointing,
    )
    smaller = training_footprint(config(), step)
    larger = training_footprint(config(), replace(step, micro_batch=size + 1))
    assert larger.total > smaller.total
    assert larger.parameters == smaller.parameters


def test_where_nothing_plain_fits_states_are_spread_or_moved() -> None:
    node = NodeShape(cores=96, host_memory_gib=768, gpus=8)
    found = fit(config(2048, model=ModelConfig(tuning="full")), A100_80, node)
    assert isinstance(found, Fit)
    assert found.zero_stage >= 2
    assert found.unbuilt is not None and "ZeRO" in found.unbuilt
    assert any("instead of" in words and "ZeRO" in words for words in found.reasons)
    assert found.host_gib * found.workers <= node.host_memory_gib
    assert fitted(config(2048), A100_80).unbuilt is None


@given(
    name=st.sampled_from([name for name in PROFILES if name != "cpu"]),
    host=st.sampled_from([8, 32, 64, 128, 256, 768]),
    gpus=st.sampled_from([1, 4, 8]),
    tuning=st.sampled_from(["lora", "full"]),
    frames=st.sampled_from([512, 2048, 8192]),
)
def test_a_refusal_never_names_a_need_within_the_limit(
    name: str, host: int, gpus: int, tuning: Any, frames: int
) -> None:
    node = NodeShape(cores=16, host_memory_gib=host, gpus=gpus)
    asked = config(frames, model=ModelConfig(tuning=tuning))
    found = fit(asked, PROFILES[name], node)
    if isinstance(found, Fit):
        assert found.host_gib * found.workers <= host
        return
    said = re.match(r"needs ([\d.]+) GiB .* the limit is ([\d.]+) GiB", found.reason)
    assert said is not None
    assert float(said[1]) >= float(said[2])
    lacking = re.search(
        r"would take (\d+) GiB of host memory, of which a node gives (\d+)", found.reason
    )
    assert lacking is None or int(lacking[1]) >= int(lacking[2])


def test_too_little_host_memory_is_named() -> None:
    reason = misfit(
        config(2048, model=ModelConfig(tuning="full")), A100, replace(NODE, host_memory_gib=64)
    )
    assert "GiB of host memory, of which a node gives 58" in reason


def test_fp32_on_a_gpu_keeps_off_the_score_matrix() -> None:
    assert fitted(config(256, precision="fp32"), A100_80).attention == "sdpa_repeated"


class _Tracer:
    """Closed form, and traces that say something else."""

    def __init__(self, factor: float) -> None:
        self.factor, self.asked = factor, 0

    def footprint(self, config: Config, step: Step, context: float) -> Footprint:
        return training_footprint(config, step, context)

    def trace(self, config: Config, step: Step, context: float) -> Footprint | None:
        self.asked += 1
        return replace(training_footprint(config, step, context).scaled(self.factor), traced=True)

    def calibration(self, profile: str) -> Calibration:
        return Calibration(factor=1.1, runs=7)


def test_a_trace_decides_near_the_limit_and_calibration_is_said() -> None:
    asked = config(2048, model=ModelConfig(), global_batch=16)
    plain = fitted(asked, V100)
    strict = _Tracer(5.0)
    found = fit(asked, V100, NODE, estimates=strict)
    assert strict.asked > 0 and isinstance(found, Fit)
    assert found.micro_batch < plain.micro_batch or found.gradient_checkpointing
    assert "x 1.10, learned from 7 runs" in " ".join(found.reasons)
    assert found.calibration == 1.1


@pytest.mark.parametrize(
    ("tuning", "workers", "stage", "offload", "fits"),
    [
        ("full", 1, 0, "none", (False, False, False)),
        ("full", 1, 2, "optimizer", (True, True, True)),
        ("full", 1, 3, "all", (True, True, True)),
        ("full", 4, 2, "none", (False, False, True)),
        ("full", 4, 3, "none", (False, False, True)),
        ("full", 4, 3, "optimizer", (True, True, True)),
        ("lora", 1, 0, "none", (True, True, True)),
        ("lora", 4, 3, "none", (True, True, True)),
    ],
)
def test_the_published_pairings_fit_as_an_earlier_study_found(
    tuning: Any, workers: int, stage: Any, offload: Any, fits: tuple[bool, bool, bool]
) -> None:
    """moderate_long on V100-32GB at batch 2, long on A100-40GB, very_long on A100-80GB."""
    cases = ((256, 2, V100), (512, 1, A100), (1024, 1, A100_80))
    found = []
    for kept, batch, profile in cases:
        step = Step(
            precision="bf16" if profile.bf16 else "fp16",
            attention="flash_attention_2" if profile.bf16 else "sdpa_repeated",
            micro_batch=batch,
            workers=workers,
            zero_stage=stage,
            offload=offload,
        )
        asked = config(8192, kept, model=ModelConfig(tuning=tuning))
        found.append(training_footprint(asked, step).total <= 0.97 * profile.usable_gib)
    assert tuple(found) == fits
