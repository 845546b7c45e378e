"""A predicted peak, item by item. Standard library only."""

from dataclasses import dataclass, fields, replace

GIB = 1024**3
MIB = 1024**2

DEVICE_ITEMS = (
    "parameters",
    "gradients",
    "optimizer",
    "activations",
    "temporaries",
    "logits",
    "vision",
    "communication",
)
"""What a program allocates itself."""


FRAGMENTATION = 0.22
"""Share of what moves that the caching allocator holds beside it, at least. Simulations of the
recomputing steps with adapters need 0.11 to 0.19 (`tracing.allocator`); no GPU was measured."""
MOVING = ("activations", "temporaries", "logits", "vision")
"""What comes and goes within a step."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Predicted peak of one worker, GiB, each item at the moment of the peak."""

    parameters: float
    """All weights, trained and frozen."""
    gradients: float
    optimizer: float
    """Moments, and master weights where they are the optimizer's."""
    activations: float
    """What the backward pass waits for; in an answer, the key-value cache."""
    temporaries: float = 0.0
    """What an operation needs while it runs."""
    logits: float = 0.0
    """Of the answer's tokens, and their gradient."""
    vision: float = 0.0
    """Frames, features of the vision tower, and what it keeps where it is trained."""
    communication: float = 0.0
    """Buckets of data parallel or DeepSpeed, and weights gathered for a block."""
    reserve: float = 0.0
    """What the caching allocator holds beyond what is allocated."""
    context: float = 0.0
    """Driver context, kernels and workspaces."""
    vision_cache: float = 0.0
    """On a CPU: features of pairs seen before, at their bound, which share the memory."""
    host: float = 0.0
    """Host memory that offload takes for one worker; no part of the device's peak."""
    traced: bool = False
    """Every operation of the step was followed; else the closed form fitted to such traces."""

    @property
    def allocated(self) -> float:
        """What `torch.cuda.max_memory_allocated` would say."""
        return float(sum(getattr(self, name) for name in DEVICE_ITEMS))

    @property
    def total(self) -> float:
        """The peak that must stay below the limit."""
        return self.allocated + self.reserve + self.context + self.vision_cache

    def on_gpu(
        self, context: float, share: float = FRAGMENTATION, *, passing: bool = False
    ) -> "Footprint":
        """With what a GPU takes beside what the program allocates: its context, and for the
        caching allocator `share` of what moves. `passing`: gradients come and go with the step."""
        moving = sum(getattr(self, name) for name in MOVING) + passing * self.gradients
        return replace(self, reserve=share * moving, context=context)

    def scaled(self, factor: float) -> "Footprint":
        """With what moves during a step `factor` times as large."""
        names = (*MOVING, "communication", "reserve")
        return replace(self, **{name: factor * getattr(self, name) for name in names})

    def items(self) -> dict[str, float]:
        """GiB by item, without what only describes them."""
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name not in ("traced", "host")
        }
