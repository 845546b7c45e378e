"""Floating-point operations of a training, and the time they take on a kind of device. Standard
library only."""

from dataclasses import dataclass
from typing import ClassVar

from ntlbg_model.config import STRICT, Config
from ntlbg_model.footprint.closed_form import weights_of
from ntlbg_model.footprint.items import GIB
from ntlbg_model.footprint.load import load_of
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.footprint.states import states_of
from ntlbg_model.geometry.step_shape import Step


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How fast a kind of device is."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    half_tflops: float
    """Dense 16-bit matrix products with fp32 accumulation at peak, in 10^12 a second."""
    full_tflops: float
    """fp32 outside tensor cores."""
    bandwidth_gbs: float
    """Device memory, 10^9 bytes a second."""
    link_gbs: float
    """Between devices of one node, each direction."""
    host_gbs: float
    """Between a device and its host, each direction."""
    efficiency: float
    """Share of the peak that a training step reaches."""
    source: str
    """Where the numbers are from, and whether the efficiency was measured."""
    network_gbs: float = 1.25
    """Between nodes, each direction, 10^9 bytes a second; a network of 10 Gbit/s is assumed."""

    def between(self, step: Step) -> float:
        """10^9 bytes a second of the slowest link that a ring over the step's devices crosses: one
        ring enters and leaves each node once."""
        return self.link_gbs if step.nodes == 1 else min(self.link_gbs, self.network_gbs)


def sample_flops(config: Config, *, checkpointing: bool) -> float:
    """Operations that one training sample takes: forward, backward, and recomputation.

    A matrix that is not trained needs no gradient of its own, so its backward pass costs as much
    as its forward pass instead of twice that.
    """
    shape, load = shape_of(config.model.base_model), load_of(config)
    attention = 2.0 * load.tokens**2 * shape.hidden * shape.layers
    blocks = 2.0 * shape.layers * shape.block_parameters * load.tokens
    backward = 2 if config.model.tuning == "full" else 1
    passes = 1 + backward + checkpointing
    language = passes * blocks + (3 + checkpointing) * attention
    tower = 3 + checkpointing if config.model.vision == "trained" else 1
    return language + tower * shape.vision_flops_per_patch * load.patches


def training_flops(config: Config, *, checkpointing: bool = True) -> float:
    """Floating-point operations of the whole training."""
    samples = config.training.max_steps * config.training.global_batch
    return samples * sample_flops(config, checkpointing=checkpointing)


def step_seconds(config: Config, step: Step, rates: Rates) -> float:
    """Seconds of one optimizer step on `step.workers` devices."""
    half = step.precision != "fp32"
    peak = 1e12 * (rates.half_tflops if half else rates.full_tflops)
    samples = step.micro_batch * step.accumulation
    compute = samples * sample_flops(config, checkpointing=step.checkpointing)
    return (
        compute / (peak * rates.efficiency)
        + _updating(config, step, rates)
        + _communicating(config, step, rates)
    )


def training_hours(config: Config, step: Step, rates: Rates) -> float:
    """Hours of the whole training on `step.workers` devices, without evaluation."""
    return config.training.max_steps * step_seconds(config, step, rates) / 3600


def _updating(config: Config, step: Step, rates: Rates) -> float:
    """The optimizer reads and writes its states once; offloaded, over the host's link."""
    states = states_of(config, step, weights_of(config))
    moved = 2 * states.optimizer * GIB / (1e9 * rates.bandwidth_gbs)
    return moved + 2 * states.host * GIB / (1e9 * rates.host_gbs)


def _communicating(config: Config, step: Step, rates: Rates) -> float:
    """Ring collectives: an all-reduce of the gradients a step; ZeRO-3 gathers the weights for
    each forward and backward pass of each micro-batch."""
    if step.workers == 1:
        return 0.0
    weights = weights_of(config)
    size = step.bytes_per_value
    share = (step.workers - 1) / step.workers
    moved = 2 * share * size * (weights.trained_base + weights.trained_added)
    if step.zero_stage == 3:
        whole = weights.trained_base + weights.trained_added + weights.frozen + weights.quantised
        moved += 2 * step.accumulation * share * size * whole
    return moved / (1e9 * rates.between(step))
