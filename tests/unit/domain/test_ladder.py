"""After an out-of-memory: less of a device each time, the same learning, and always an end."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntlbg_model.config import Config, ModelConfig, TrainingConfig, VideoConfig
from ntlbg_model.footprint import CONTEXT_GIB, training_footprint
from ntlbg_service.domain.fitting.fallbacks import next_fit
from ntlbg_service.domain.fitting.fit import Fit, fit
from ntlbg_service.domain.hardware.profiles import PROFILES, NodeShape

NODE = NodeShape(cores=96, host_memory_gib=512, gpus=8)
KINDS = ("V100-32GB", "A100-40GB", "A100-80GB")


def asked(kept: int, batch: int, **model: Any) -> Config:
    return Config(
        video=VideoConfig(max_frames=8192, num_representatives=kept),
        model=ModelConfig(**model),
        training=TrainingConfig(global_batch=batch),
    )


@given(
    name=st.sampled_from(KINDS),
    kept=st.sampled_from([64, 256, 1024]),
    batch=st.sampled_from([1, 6, 32]),
    tuning=st.sampled_from(["lora", "full"]),
    truth=st.floats(0.8, 2.5),
)
def test_the_ladder_reaches_what_runs_or_ends(
    name: str, kept: int, batch: int, tuning: str, truth: float
) -> None:
    """A simulated allocator needs `truth` times what is predicted."""
    config, profile = asked(kept, batch, tuning=tuning), PROFILES[name]
    larger = [(PROFILES[kind], NODE) for kind in KINDS if kind != name]
    found = fit(config, profile, NODE)
    if not isinstance(found, Fit):
        return
    seen = {found.step: found.profile}
    for _ in range(60):
        predicted = training_footprint(config, found.step, CONTEXT_GIB)
        if truth * predicted.total <= profile.usable_gib:
            return
        rung = next_fit(config, found, profile, NODE, larger=larger)
        if rung is None:
            return
        lower = training_footprint(config, rung.fit.step, CONTEXT_GIB).total < predicted.total
        assert lower or PROFILES[rung.fit.profile].usable_gib > profile.usable_gib
        assert rung.fit.micro_batch * rung.fit.accumulation * rung.fit.workers == batch
        assert seen.get(rung.fit.step) != rung.fit.profile
        assert "out of memory" in rung.reason
        assert sum(rung.fit.memory.values()) == pytest.approx(rung.fit.predicted_gib, abs=0.01)
        offloaded = training_footprint(config, rung.fit.step, CONTEXT_GIB).host
        assert rung.fit.host_gib == pytest.approx(offloaded, abs=0.001)
        found, profile = rung.fit, PROFILES[rung.fit.profile]
        seen[found.step] = found.profile
    raise AssertionError("the ladder did not end in 60 rungs")


def test_rungs_say_what_they_change() -> None:
    config = asked(64, 32)
    profile = PROFILES["H200-141GB"]
    found = fit(config, profile, NODE)
    assert isinstance(found, Fit)
    reasons = []
    for _ in range(60):
        rung = next_fit(config, found, profile, NODE)
        if rung is None:
            break
        reasons.append(rung.reason)
        found = rung.fit
    assert any("micro-batch" in reason for reason in reasons)
    assert any("ZeRO" in reason for reason in reasons)
    assert found.offload == "all"


def test_a_cpu_has_no_devices_to_spread_over() -> None:
    config = asked(64, 1, base_model="tiny")
    found = fit(config, PROFILES["cpu"], NodeShape(cores=2, host_memory_gib=16))
    assert isinstance(found, Fit)
    rung = next_fit(config, found, PROFILES["cpu"], NodeShape(cores=2, host_memory_gib=16))
    assert rung is not None and "checkpointing" in rung.reason


def test_a_larger_kind_computes_alike_where_there_is_one() -> None:
    """A V100-16GB that can do no more gives way to a V100-32GB before an A100-40GB."""
    config, lone = asked(256, 1), NodeShape(cores=8, host_memory_gib=0.1)
    small = fit(asked(16, 1), PROFILES["V100-32GB"], lone)
    assert isinstance(small, Fit)
    kinds = [(PROFILES["A100-40GB"], lone), (PROFILES["V100-32GB"], lone)]
    last = replace(small, gradient_checkpointing=True, vision_chunk=1)
    alike = next_fit(config, last, PROFILES["V100-16GB"], lone, larger=kinds)
    assert alike is not None and alike.fit.profile == "V100-32GB"
    assert "numerics" not in alike.reason
    other = next_fit(config, last, PROFILES["V100-16GB"], lone, larger=kinds[:1])
    assert other is not None and other.fit.profile == "A100-40GB"
    assert "numerics change from fp16 sdpa_repeated to bf16" in other.reason
