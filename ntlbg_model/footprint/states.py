"""Weights, gradients and optimizer states, and how they are spread. Standard library only.

ZeRO is arXiv:1910.02054; the sizes of its buckets are DeepSpeed's defaults. What a trace follows
and what the closed form adds up have these numbers from here.
"""

from dataclasses import dataclass, replace

from ntlbg_model.config import Config
from ntlbg_model.footprint.items import GIB
from ntlbg_model.geometry.step_shape import Attention, Step

STORED = {"none": None, "int8": 1.0, "nf4": 0.56}
"""Bytes of a frozen weight of the language model's blocks by quantisation; None: the compute type.
nf4: half a byte, a scale for 64 weights in fp32, quantised again (arXiv:2305.14314)."""
REDUCE_BUCKET = 5e8
"""Elements that DeepSpeed reduces at once; two such buckets overlap."""
PREFETCH_BUCKET = 5e7
"""Elements that ZeRO-3 gathers ahead."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Numbers of parameters, by what becomes of them."""

    trained_base: float
    """Of the base model itself (full tuning)."""
    trained_added: float
    """Adapters, connector, selector: fp32 outside DeepSpeed."""
    frozen: float
    """Not trained, in the compute type."""
    quantised: float = 0.0
    """Not trained, stored as `model.quantisation` says."""
    beside: float = 0.0
    """Of the frozen: the vision tower, which ZeRO-3 leaves whole on every device."""
    largest: float = 0.0
    """Largest matrix, which ZeRO-3 gathers whole."""
    block: float = 0.0
    """One block of the language model."""


@dataclass(frozen=True, kw_only=True)
class States:
    """GiB on one worker, and on its host."""

    parameters: float
    gradients: float
    """All of them; a backward pass reaches this at its end."""
    optimizer: float
    communication: float
    host: float


def states_of(config: Config, step: Step, weights: Weights) -> States:
    """What stands through a whole step."""
    if step.deepspeed:
        return _sharded(config, step, weights)
    trained = weights.trained_base + weights.trained_added
    wide = step.master_weights or step.precision == "fp32"
    base = 4 if wide else step.bytes_per_value
    gradients = base * weights.trained_base + 4 * weights.trained_added
    parameters = base * weights.trained_base + 4 * weights.trained_added
    moments = _moments(config, trained) if wide else 2 * gradients
    parameters += _frozen(config, step, weights)
    if step.fsdp:
        return _fully_sharded(step, weights, parameters, gradients, moments)
    return States(
        parameters=parameters / GIB,
        gradients=gradients / GIB,
        optimizer=moments / GIB,
        # Data parallel keeps a second copy of the gradients in buckets (torch's default).
        communication=gradients / GIB if step.workers > 1 and trained else 0.0,
        host=0.0,
    )


def _fully_sharded(
    step: Step, weights: Weights, parameters: float, gradients: float, moments: float
) -> States:
    """torch.distributed.fsdp.fully_shard of each block and the rest: shards of everything, and
    gathered in the compute type the rest, the block at work and the next; gradients of a block are
    whole in fp32 until they are scattered."""
    gathered = step.bytes_per_value * (2 * weights.block + 2 * weights.largest)
    scattered = 4 * weights.block if weights.trained_base else 0.0
    return States(
        parameters=parameters / step.workers / GIB,
        gradients=gradients / step.workers / GIB,
        optimizer=moments / step.workers / GIB,
        communication=(gathered + scattered) / GIB if step.workers > 1 else 0.0,
        host=0.0,
    )


def answering_states(config: Config, step: Step, weights: Weights) -> States:
    """What stands while questions are answered: the weights alone, once the optimizer is gone;
    DeepSpeed keeps all it has."""
    found = states_of(config, step, weights)
    if step.deepspeed:
        return found
    return replace(found, gradients=0.0, optimizer=0.0, communication=0.0)


def answering_step(config: Config, step: Step) -> Step:
    """How an evaluation computes: as its training did. Without one, full tuning's weights are
    still fp32, and nothing casts them."""
    if config.model.tuning == "full" and config.training.max_steps == 0:
        attention: Attention = "eager" if step.attention == "eager" else "sdpa_repeated"
        return replace(step, precision="fp32", attention=attention)
    return step


def _moments(config: Config, trained: float) -> float:
    """AdamW's two, in fp32 or in 8 bit (arXiv:2110.02861)."""
    return trained * (2 if config.training.optimizer == "adamw_8bit" else 8)


def _frozen(config: Config, step: Step, weights: Weights) -> float:
    stored = STORED[config.model.quantisation] or step.bytes_per_value
    return step.bytes_per_value * weights.frozen + stored * weights.quantised


def _sharded(config: Config, step: Step, weights: Weights) -> States:
    """16-bit weights and gradients, fp32 masters and moments, each over the workers or on the
    host as stage and offload say."""
    size, trained = step.bytes_per_value, weights.trained_base + weights.trained_added
    shard_weights = step.workers if step.zero_stage == 3 else 1
    shard_gradients = step.workers if step.zero_stage >= 2 else 1
    masters = 0 if step.precision == "fp32" else 4
    states = (masters * trained + _moments(config, trained)) / step.workers
    beside = size * weights.beside if step.zero_stage == 3 else 0.0
    parameters = (size * trained + _frozen(config, step, weights) - beside) / shard_weights
    gradients = size * trained / shard_gradients
    host = 0.0
    if step.offload != "none":
        host += states + 4 * trained / step.workers
        states = gradients = 0.0
    if step.offload == "all":
        host += parameters
        parameters = 0.0
    parameters += beside
    buckets = 2 * size * min(REDUCE_BUCKET, trained)
    if step.zero_stage == 3:
        whole = trained + weights.frozen + weights.quantised - weights.beside
        alive = max(weights.block, weights.largest) + min(PREFETCH_BUCKET, whole)
        buckets += size * min(alive, whole)
    return States(
        parameters=parameters / GIB,
        gradients=gradients / GIB,
        optimizer=states / GIB,
        communication=buckets / GIB,
        host=host / GIB,
    )
