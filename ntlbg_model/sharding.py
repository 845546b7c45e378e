"""DeepSpeed's settings: what is spread over the workers, what host memory holds."""

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from ntlbg_model.footprint import Offload


class ShardingError(RuntimeError):
    """DeepSpeed is asked for and not there."""


def deepspeed_config(
    *,
    zero_stage: int,
    offload: Offload,
    micro_batch: int,
    accumulation: int,
    max_grad_norm: float,
    precision: str,
    pinned: bool,
) -> dict[str, Any] | None:
    """The `deepspeed=` of Hugging Face's Trainer; None where plain data parallel does.

    The optimizer stays torch's AdamW, also on the host: DeepSpeed's own is compiled when it is
    first used, and its numbers differ. `pinned`: host memory that a GPU copies from.
    Raises ShardingError where DeepSpeed is not installed.
    """
    if zero_stage == 0 and offload == "none":
        return None
    if find_spec("deepspeed") is None:
        raise ShardingError("DeepSpeed is not installed: pip install 'ntlbg[deepspeed]'")
    host = {"device": "cpu", "pin_memory": pinned}
    zero: dict[str, Any] = {
        "stage": zero_stage,
        "overlap_comm": pinned,
        "contiguous_gradients": True,
        "stage3_gather_16bit_weights_on_model_save": True,
    }
    if offload != "none":
        zero["offload_optimizer"] = host
    if offload == "all":
        zero["offload_param"] = host
    return {
        "train_micro_batch_size_per_gpu": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": max_grad_norm,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": precision == "fp16"},
        "steps_per_print": 1_000_000,
    }


def without_compiled_collectives() -> None:
    """Let DeepSpeed's workers on a CPU talk through gloo alone.

    Its own collectives through shared memory are compiled when workers first meet: that takes a
    C++ compiler and minutes, and a compilation that was killed leaves a lock on which every later
    one waits.
    """
    import deepspeed.ops

    deepspeed.ops.__compatible_ops__ = {}


def spread(module: nn.Module, settings: dict[str, Any], dtype: torch.dtype) -> None:
    """Leave each worker its shard of every weight (ZeRO-3), one after another: no device ever holds
    all of them. The workers must have met."""
    import deepspeed

    for weight in module.parameters():
        weight.data = weight.data.to(dtype)
    deepspeed.zero.Init(module=module, config_dict_or_path=settings, dtype=dtype)
