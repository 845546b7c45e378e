"""What each tool predicts for a training step on one device, GiB, as its users would ask it.

DeepSpeed's and accelerate's own functions are called; only what they cannot find out themselves
(parameter counts, the model's config without a hub) is given to them.
"""

import os
from dataclasses import dataclass
from functools import lru_cache

from ntlbg_model.config import Config
from ntlbg_model.footprint import GIB, Step, training_footprint, weights_of
from ntlbg_model.footprint.shapes import Shape, shape_of
from ntlbg_model.tracing.meta_model import Depth

os.environ.setdefault("DS_ACCELERATOR", "cpu")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Parameters of a model."""

    trained: float
    frozen: float
    largest: float
    """Of one layer."""

    @property
    def all(self) -> float:
        """What a tool counts that does not ask which are trained."""
        return self.trained + self.frozen


def counts_of(config: Config) -> Counts:
    """Of a config's model at its full depth, adapters included."""
    weights = weights_of(config)
    return Counts(
        trained=weights.trained_base + weights.trained_added,
        frozen=weights.frozen + weights.quantised,
        largest=weights.largest,
    )


def traced(config: Config, step: Step) -> float:
    """Our tracer: states, activations, temporaries, logits, vision, buckets."""
    from ntlbg_model.tracing.trace import trace_step

    return trace_step(config, step).allocated


def closed_form(config: Config, step: Step) -> float:
    """Our closed form: the same, without torch."""
    return training_footprint(config, step).allocated


def deepspeed(counts: Counts, step: Step) -> float:
    """DeepSpeed's estimate of model states as its `all_live` functions count: all parameters."""
    return _states(counts.all, counts.largest, step)


def deepspeed_informed(counts: Counts, step: Step) -> float:
    """DeepSpeed's estimate for the trained parameters, and the frozen ones added by hand."""
    frozen = step.bytes_per_value * counts.frozen / GIB
    shards = step.workers if step.zero_stage == 3 else 1
    return _states(counts.trained, min(counts.largest, counts.trained), step) + frozen / shards


def _states(parameters: float, largest: float, step: Step) -> float:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs

    places = {"num_gpus_per_node": step.workers, "num_nodes": 1, "cpu_offload": False}
    if step.zero_stage == 3:
        _, device, _ = estimate_zero3_model_states_mem_needs(
            int(parameters), int(largest), **places
        )
    else:
        _, device = estimate_zero2_model_states_mem_needs(int(parameters), **places)
    return float(device) / GIB


def accelerate(shape: Shape, depth: Depth, step: Step) -> float | None:
    """'Training using Adam' of `accelerate estimate-memory`; None where states are sharded."""
    if step.zero_stage:
        return None
    dtype = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[step.precision]
    return _training_usage(shape, depth, dtype)


@lru_cache
def _training_usage(shape: Shape, depth: Depth, dtype: str) -> float:
    import torch
    from accelerate import init_empty_weights
    from accelerate.commands.estimate import estimate_training_usage
    from accelerate.utils import calculate_maximum_sizes
    from transformers import AutoModel

    from ntlbg_model.tracing.meta_model import base_model

    config = base_model(shape, depth, torch.float32, "sdpa", "meta").config
    with init_empty_weights():
        empty = AutoModel.from_config(config, dtype=torch.float32)
    size, _ = calculate_maximum_sizes(empty)
    return float(max(estimate_training_usage(size, dtype).values())) / GIB


def whole(config: Config) -> tuple[Shape, Depth]:
    """The base model's shape at its full depth."""
    shape = shape_of(config.model.base_model)
    return shape, Depth(shape.layers, shape.vision_layers)
