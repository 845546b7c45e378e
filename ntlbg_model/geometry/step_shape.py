"""How a training step runs on a device: what a fit chooses, and all that memory and time depend
on beside the variant. Standard library only.
"""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["fp32", "bf16", "fp16"]
Attention = Literal["eager", "sdpa", "sdpa_repeated", "flash_attention_2"]
"""sdpa_repeated repeats key and value heads, for cards below compute capability 8.0: asked for
grouped heads, torch falls back there to the math kernel with its S x S scores."""
Offload = Literal["none", "optimizer", "all"]
"""What DeepSpeed keeps in host memory: nothing, gradients with the optimizer's states, or the
weights too (stage 3)."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One micro-batch after another on each of `workers` devices. Raises ValueError."""

    precision: Precision
    attention: Attention
    micro_batch: int = 1
    accumulation: int = 1
    """Micro-batches of an optimizer step; above one, gradients stand through all of it."""
    workers: int = 1
    """Devices that share the global batch."""
    nodes: int = 1
    """Nodes that the devices are spread over, evenly; only time depends on them."""
    checkpointing: bool = True
    """Recompute the activations of each block in the backward pass."""
    vision_chunk: int = 8
    """Frame pairs that go through a frozen vision tower together."""
    zero_stage: Literal[0, 1, 2, 3] = 0
    """What DeepSpeed shards over the workers: optimizer states (1), gradients (2), weights (3).
    0 without offload is no DeepSpeed: one device, or data parallel."""
    offload: Offload = "none"
    fsdp: bool = False
    """torch's `fully_shard` of every block over the workers, in place of DeepSpeed's stage 3.
    Memory is predicted; no fit chooses it."""
    master_weights: bool = True
    """Weights that are trained themselves, gradients and moments in fp32 beside 16-bit compute.
    Without, all of them are 16-bit: updates below 1/256 of a weight are lost in bf16."""
    questions: int = 1
    """Questions answered at once when the run is evaluated."""
    cpu: bool = False
    """No device memory of its own: no driver context and no caching allocator."""

    def __post_init__(self) -> None:
        for name in (
            "micro_batch",
            "accumulation",
            "workers",
            "nodes",
            "vision_chunk",
            "questions",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.workers % self.nodes:
            raise ValueError(f"workers {self.workers} must be a multiple of nodes {self.nodes}")
        if self.offload != "none" and self.zero_stage < 2:
            raise ValueError(f"offload {self.offload!r} needs zero_stage 2 or 3")
        if self.offload == "all" and self.zero_stage != 3:
            raise ValueError("offload 'all' needs zero_stage 3")
        if self.fsdp and self.zero_stage:
            raise ValueError("fsdp and zero_stage both shard: choose one")

    @property
    def gradients_pass(self) -> bool:
        """Gradients come one by one in the backward pass and go with the step; else they stand,
        summed or sharded."""
        return self.accumulation == 1 and not self.deepspeed

    @property
    def deepspeed(self) -> bool:
        """Whether DeepSpeed runs the step."""
        return self.zero_stage > 0

    @property
    def bytes_per_value(self) -> int:
        """Bytes of a value computed with."""
        return 4 if self.precision == "fp32" else 2
