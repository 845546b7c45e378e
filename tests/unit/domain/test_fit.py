"""A fit changes how a variant runs on a card, never what it learns."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import (
    Config,
    HardwareConfig,
    ModelConfig,
    SelectionConfig,
    TrainingConfig,
    VideoConfig,
)
from ntlbg_model.footprint import Footprint, Step, training_footprint
from ntlbg_service.domain.fitting.candidates import choose_precision
from ntlbg_service.domain.fitting.estimates import Calibration
from ntlbg_service.domain.fitting.fit import CPU_PROCESS_GIB, Fit, Misfit, fit
from ntlbg_service.domain.hardware.profiles import CPU, PROFILES, NodeShape, Profile

NODE = NodeShape(cores=16, host_memory_gib=256)
BOX = NodeShape(cores=96, host_memory_gib=768, gpus=8)
LONE = NodeShape(cores=16, host_memory_gib=32)
"""One GPU, and too little host memory to offload to."""
PLAIN = NodeShape(cores=16, host_memory_gib=0.5)
"""One GPU, and no host memory to speak of."""
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
    assert "model.gradient_checkpointing true would need 28.0 GiB" in refused
    endless = config(8192, 4096, model=ModelConfig(tuning="full", vision="trained"))
    assert misfit(endless, PROFILES["V100-16GB"], LONE).endswith(
        "fewer representatives or a smaller frame_resolution would need less"
    )


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
    four = fit(config(1024, hardware=HardwareConfig(num_gpus=4)), A100_80, BOX)
    assert isinstance(four, Fit) and four.workers == 4
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
    found = fit(config(2048, model=ModelConfig(tuning="full")), A100_80, BOX)
    assert isinstance(found, Fit)
    assert found.zero_stage >= 2
    assert found.unsupported is None
    assert any("instead of" in words and "ZeRO" in words for words in found.reasons)
    assert found.host_gib * found.workers <= BOX.host_memory_gib
    assert fitted(config(2048), A100_80).unsupported is None


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


class _Plain(_Tracer):
    """The same, where nothing was learned from measured peaks."""

    def calibration(self, profile: str) -> Calibration:
        return Calibration()


def test_a_trace_decides_near_the_limit_and_calibration_is_said() -> None:
    asked = config(2048, model=ModelConfig(), global_batch=16)
    plain = fitted(asked, V100)
    strict = _Tracer(5.0)
    found = fit(asked, V100, NODE, estimates=strict)
    assert strict.asked > 0 and isinstance(found, Fit)
    assert found.micro_batch < plain.micro_batch or found.gradient_checkpointing
    assert "x 1.10, learned from 7 runs" in " ".join(found.reasons)
    assert found.calibration == 1.1


def _asks(num_gpus: int, **more: Any) -> Config:
    return config(1024, hardware=HardwareConfig(num_gpus=num_gpus), **more)


@pytest.mark.parametrize(
    ("asked", "nodes", "found"), [(8, 2, (8, 1)), (12, 2, (12, 2)), (16, 2, (16, 2))]
)
def test_a_gang_takes_the_fewest_nodes_that_hold_it_evenly(
    asked: int, nodes: int, found: tuple[int, int]
) -> None:
    made = fit(_asks(asked, global_batch=48), A100_80, BOX, nodes=nodes)
    assert isinstance(made, Fit)
    assert (made.workers, made.nodes) == found == (made.step.workers, made.step.nodes)
    assert made.unsupported is None


@pytest.mark.parametrize(
    ("asked", "node", "reason"),
    [
        (16, BOX, "needs 16 devices, there are 8"),
        (24, BOX, "needs 24 devices, there are 8"),
        (4, replace(BOX, cores=3), "a node has 3 cores for 4 workers, and each needs one"),
    ],
)
def test_a_gang_that_the_nodes_do_not_have_is_refused(
    asked: int, node: NodeShape, reason: str
) -> None:
    found = fit(_asks(asked, global_batch=48), A100_80, node)
    assert isinstance(found, Misfit) and found.reason.startswith(reason)


def test_a_gang_that_cannot_be_even_is_refused() -> None:
    found = fit(_asks(11, global_batch=22), A100_80, BOX, nodes=2)
    assert isinstance(found, Misfit) and "cannot be the same on each of up to 2 nodes" in str(found)


def test_hours_count_the_network_between_nodes() -> None:
    slow, fast = (replace(BOX, network_gbits=rate) for rate in (10, 400))
    hours = {}
    for name, node in (("slow", slow), ("unknown", BOX), ("fast", fast)):
        found = fit(_asks(16, model=ModelConfig(tuning="lora")), A100_80, node, nodes=2)
        assert isinstance(found, Fit)
        hours[name] = found.hours
        assert any("2 nodes of 8" in words for words in found.reasons)
    assert hours["fast"] < hours["slow"] == hours["unknown"]


def test_several_nodes_come_in_where_one_does_not_do() -> None:
    """The 7B's states in full, over GPUs of 16 GB with little host memory."""
    asked = config(512, 16, model=ModelConfig(tuning="full"))
    small = replace(BOX, host_memory_gib=16)
    assert isinstance(fit(asked, PROFILES["V100-16GB"], small), Misfit)
    found = fit(asked, PROFILES["V100-16GB"], small, nodes=4)
    assert isinstance(found, Fit)
    assert found.nodes > 1 and found.workers == 8 * found.nodes
    assert found.zero_stage == 3 and found.unsupported is None


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"model": ModelConfig(tuning="full", vision="trained")}, "model.vision = 'trained'"),
        ({"selection": SelectionConfig(query="learned")}, "selection.query = 'learned'"),
        (
            {"selection": SelectionConfig(similarity="backbone")},
            "selection.similarity = 'backbone'",
        ),
    ],
)
def test_weights_that_are_used_beside_the_step_are_not_spread(
    beside: dict[str, Any], said: str
) -> None:
    asked = replace(config(512, 16, model=ModelConfig(tuning="full")), **beside)
    found = fit(asked, PROFILES["V100-16GB"], replace(BOX, host_memory_gib=16), nodes=4)
    assert isinstance(found, Fit) and found.zero_stage == 3
    assert found.unsupported is not None and found.unsupported.endswith(f" together with {said}")
    assert found.unsupported.startswith("ZeRO-3")


def test_cores_are_shared_by_the_gpus_of_a_node() -> None:
    found = fit(config(1024), A100_80, BOX)
    assert isinstance(found, Fit) and found.cores == 11
    assert found.resources == {"CPU": 11, "GPU": 1}
    tiny = config(64, model=ModelConfig(base_model="tiny"))
    assert fitted(tiny, CPU).resources == {"CPU": 1}
    assert "decoding: 11 of 96 cores for each of 8 GPUs" in found.reasons
    scarce = fit(config(1024), A100_80, replace(BOX, cores=4))
    assert isinstance(scarce, Fit) and scarce.cores == 1
    assert "the 4 cores of a node cannot serve its 8 GPUs" in " ".join(scarce.reasons)


def _pooled() -> Config:
    """Large frames that become few tokens: the tower takes more than the language model."""
    asked = config(512, 32, model=ModelConfig(reducer="video_chatgpt"), global_batch=1)
    return replace(asked, video=replace(asked.video, frame_resolution=(1344, 1344)))


def test_the_vision_tower_sees_fewer_pairs_at_once_where_memory_needs_it() -> None:
    asked = _pooled()
    roomy = fitted(asked, A100_80)
    assert roomy.vision_chunk == 8
    least = training_footprint(asked, replace(roomy.step, vision_chunk=1, checkpointing=True)).total
    card = replace(A100_80, name="small", usable_gib=least / 0.97 + 0.2)
    found = fitted(asked, card)
    assert found.vision_chunk < 8
    assert any(
        words.startswith(f"vision tower in chunks of {found.vision_chunk} pairs: ")
        for words in found.reasons
    )
    trained = replace(asked, model=replace(asked.model, tuning="full", vision="trained"))
    assert misfit(trained, card, LONE)


def test_what_would_fit_is_named_and_fits() -> None:
    asked = config(8192, 2048)
    reason = misfit(asked, V100, PLAIN)
    said = re.search(r"video.num_representatives (\d+), the most that fit", reason)
    assert said is not None
    most = int(said[1])
    for kept, kind in ((most, Fit), (most + 8, Misfit)):
        other = replace(asked, video=replace(asked.video, num_representatives=kept))
        assert isinstance(fit(other, V100, PLAIN), kind)
    full = misfit(config(1024, model=ModelConfig(tuning="full")), A100, LONE)
    assert "model.quantisation 'nf4' would need" in full
    assert "(not built yet)" in full


def test_suggestions_ask_the_estimates() -> None:
    """What was learned on the profile counts in what is suggested."""
    asked = config(1024, model=ModelConfig(tuning="full"))
    plain, traced = misfit(asked, A100, LONE), fit(asked, A100, LONE, estimates=_Tracer(2.0))
    assert isinstance(traced, Misfit)
    least = [re.search(r"'lora' would need ([\d.]+)", words) for words in (plain, traced.reason)]
    assert least[0] is not None and least[1] is not None
    assert float(least[1][1]) > float(least[0][1])


@pytest.mark.parametrize(("factor", "above"), [(0.8, True), (1.3, False)])
def test_a_trace_decides_on_both_sides_of_the_limit(factor: float, above: bool) -> None:
    """The closed form is just above or just below the limit, and the trace says otherwise."""
    asked = config(1024, model=ModelConfig(gradient_checkpointing=False), global_batch=1)
    step = fitted(asked, PROFILES["H200-141GB"]).step
    needed = training_footprint(asked, step).total
    card = replace(A100_80, usable_gib=needed / 0.97 * (0.98 if above else 1.02))
    estimates = _Plain(factor)
    assert isinstance(fit(asked, card, PLAIN), Misfit if above else Fit)
    found = fit(asked, card, PLAIN, estimates=estimates)
    assert isinstance(found, Fit if above else Misfit)
    assert not isinstance(found, Fit) or found.traced


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
