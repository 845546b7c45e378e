"""DeepSpeed is asked for exactly what a fit says."""

import pytest

from ntlbg_model import sharding
from ntlbg_model.footprint import Offload
from ntlbg_model.sharding import ShardingError, deepspeed_config, without_compiled_collectives


def settings(zero_stage: int, offload: Offload, precision: str = "bf16") -> dict[str, object]:
    found = deepspeed_config(
        zero_stage=zero_stage,
        offload=offload,
        micro_batch=2,
        accumulation=3,
        max_grad_norm=1.0,
        precision=precision,
        pinned=True,
    )
    return found or {}


def test_plain_data_parallel_takes_no_deepspeed() -> None:
    assert settings(0, "none") == {}


@pytest.mark.parametrize(
    ("stage", "offload", "moved"),
    [
        (1, "none", set()),
        (2, "optimizer", {"offload_optimizer"}),
        (3, "all", {"offload_optimizer", "offload_param"}),
    ],
)
def test_stage_and_offload(stage: int, offload: Offload, moved: set[str]) -> None:
    found = settings(stage, offload)
    zero = found["zero_optimization"]
    assert isinstance(zero, dict) and zero["stage"] == stage
    assert {key for key in zero if key.startswith("offload")} == moved
    assert found["bf16"] == {"enabled": True} and found["fp16"] == {"enabled": False}
    assert (found["train_micro_batch_size_per_gpu"], found["gradient_accumulation_steps"]) == (2, 3)


def test_without_deepspeed_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharding, "find_spec", lambda name: None)
    with pytest.raises(ShardingError, match=r"ntlbg\[deepspeed\]"):
        settings(2, "none")


def test_workers_on_a_cpu_compile_nothing() -> None:
    from deepspeed.comm.torch import build_shm_op

    without_compiled_collectives()
    assert build_shm_op() is None
