"""Whatever is asked of whatever nodes: a fit keeps what is learned, and fits."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, HardwareConfig, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import CONTEXT_GIB, run_footprint
from ntlbg_model.support import zero3_incompatible
from ntlbg_service.domain.fitting.fallbacks import next_fit
from ntlbg_service.domain.fitting.fit import CPU_PROCESS_GIB, HOST_SHARE, Fit, Misfit, fit
from ntlbg_service.domain.hardware.inventory import Inventory, NodeGroup
from ntlbg_service.domain.hardware.profiles import PROFILES, DeviceOffer, NodeShape
from ntlbg_service.domain.scheduling.reservations import has_room, request_of

BASES = ("tiny", "Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-7B-Instruct")


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    tuning: Any = draw(st.sampled_from(["lora", "full"]))
    trained = tuning == "full" and draw(st.booleans())
    return ModelConfig(
        base_model=draw(st.sampled_from(BASES)),
        tuning=tuning,
        vision="trained" if trained else "frozen",
        gradient_checkpointing=draw(st.booleans()),
        reducer=draw(st.sampled_from(["qwen2_vl", "video_chatgpt"])),
    )


@st.composite
def configs(draw: st.DrawFn) -> Config:
    side = draw(st.sampled_from([56, 224, 672]))
    return Config(
        video=VideoConfig(
            max_frames=8192,
            num_representatives=draw(st.sampled_from([16, 64, 256, 1024])),
            frame_resolution=(side, side),
        ),
        model=draw(models()),
        training=TrainingConfig(
            global_batch=draw(st.integers(1, 96)),
            max_steps=draw(st.sampled_from([0, 500])),
            warmup_steps=0,
        ),
        hardware=HardwareConfig(num_gpus=draw(st.none() | st.integers(1, 24))),
    )


@st.composite
def places(draw: st.DrawFn) -> DeviceOffer:
    node = NodeShape(
        cores=draw(st.sampled_from([1, 4, 16, 96])),
        host_memory_gib=draw(st.sampled_from([8, 64, 512, 2000])),
        gpus=draw(st.sampled_from([1, 2, 4, 6, 8])),
        network_gbits=draw(st.sampled_from([None, 1, 100])),
    )
    profile = draw(st.sampled_from(list(PROFILES.values())))
    return DeviceOffer(profile, node, draw(st.integers(1, 4)))


def holds(config: Config, found: Fit, place: DeviceOffer) -> None:
    """What is true of every fit and of every rung after it."""
    profile, node, nodes = place
    assert found.micro_batch * found.accumulation * found.workers == config.training.global_batch
    assert found.nodes <= nodes and found.workers % found.nodes == 0
    share = found.workers // found.nodes
    assert share <= node.gpus
    assert share * found.cores <= node.cores
    assert share * found.host_gib <= HOST_SHARE * node.host_memory_gib + 0.01
    assert config.hardware.num_gpus in (None, found.workers)
    assert config.model.gradient_checkpointing or not found.gradient_checkpointing
    assert config.model.vision == "frozen" or found.vision_chunk == 8
    assert sum(found.memory.values()) == pytest.approx(found.predicted_gib, abs=0.01)
    process = CPU_PROCESS_GIB if profile.is_cpu else 0.0
    predicted = run_footprint(config, found.step, CONTEXT_GIB).total + process
    assert found.predicted_gib == pytest.approx(predicted, abs=0.002)
    assert found.gpu_hours == found.hours * found.workers > 0
    assert (found.unsupported is None) is (found.zero_stage < 3 or not zero3_incompatible(config))


@given(config=configs(), place=places())
def test_a_fit_keeps_the_global_batch_and_is_within_device_and_host(
    config: Config, place: DeviceOffer
) -> None:
    before = deepcopy(config)
    profile, node, nodes = place
    found = fit(config, profile, node, nodes=nodes)
    assert config == before
    if isinstance(found, Misfit):
        assert found.reason
        return
    holds(config, found, place)
    assert found.predicted_gib <= found.limit_gib <= profile.usable_gib
    if profile.is_cpu:
        assert found.workers // found.nodes * found.limit_gib <= node.host_memory_gib


@given(config=configs(), place=places())
def test_the_nodes_that_a_fit_asks_for_are_there(config: Config, place: DeviceOffer) -> None:
    """No gang is planned that an empty inventory could not hold."""
    profile, node, nodes = place
    group = NodeGroup(
        profile=profile.name,
        gpus=node.gpus,
        nodes=nodes,
        cores=node.cores,
        host_memory_gib=node.host_memory_gib,
        network_gbits=node.network_gbits,
    )
    assert group.shape == node
    found = fit(config, profile, group.shape, nodes=group.most)
    if isinstance(found, Fit):
        roomy = [
            each
            for each in Inventory(name="lab", groups=(group,)).nodes()
            if has_room(each, request_of(found))
        ]
        assert len(roomy) >= found.nodes


@given(config=configs(), place=places())
def test_more_nodes_never_refuse_what_fewer_run(config: Config, place: DeviceOffer) -> None:
    profile, node, nodes = place
    if isinstance(fit(config, profile, node, nodes=nodes), Fit):
        assert isinstance(fit(config, profile, node, nodes=nodes + 1), Fit)


@given(
    config=configs(),
    place=places(),
    larger=st.lists(places(), max_size=2),
    refusals=st.just([True] * 80) | st.lists(st.booleans(), min_size=80, max_size=80),
)
def test_the_ladder_ends_whatever_the_allocator_refuses(
    config: Config, place: DeviceOffer, larger: list[DeviceOffer], refusals: list[bool]
) -> None:
    """An allocator that takes or refuses at random, as memory of others on the card would."""
    before = deepcopy(config)
    found = fit(config, place.profile, place.node, nodes=place.nodes)
    if isinstance(found, Misfit):
        return
    seen = {(place, found.step)}
    for refuses in refusals:
        if not refuses:
            break
        rung = next_fit(config, found, place.profile, place.node, nodes=place.nodes, larger=larger)
        if rung is None:
            break
        place = _place_of(rung.fit, place, larger)
        holds(config, rung.fit, place)
        assert (place, rung.fit.step) not in seen
        seen.add((place, rung.fit.step))
        found = rung.fit
    else:
        raise AssertionError(f"the ladder did not end in {len(refusals)} rungs")
    assert config == before


def _place_of(found: Fit, place: DeviceOffer, larger: list[DeviceOffer]) -> DeviceOffer:
    """Where a rung is: on the same kind, or on a larger one that it names."""
    if found.profile == place.profile.name:
        return place
    return next(
        kind
        for kind in larger
        if kind.profile.name == found.profile
        and kind.nodes >= found.nodes
        and kind.node.gpus * found.nodes >= found.workers
        and kind.cores == found.cores
        and kind.node.host_memory_gib * HOST_SHARE * found.nodes + 0.01
        >= found.host_gib * found.workers
    )
