"""The optimisation and its loss."""

from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from ntlbg_model.config.checks import STRICT, above, at_least, check


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the loss terms."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    task: float = 1.0
    """Cross-entropy of the answer."""
    ntlbg_constraint: float = 0.0
    """Spread of the selected distances around the contour level."""
    feature_alignment: float = 0.0
    """Agreement of the pooled points with the question among other questions (InfoNCE)."""
    temporal_coherence: float = 0.0
    """How well points predict the frames between them."""
    information_preservation: float = 0.0
    """How well points reconstruct the whole video."""
    diversity_regularization: float = 0.0
    """Log-determinant spread of the points."""
    distillation: float = 0.0
    """Cross-entropy of the selector's distribution over frames against the language model's
    attention over all of them; needs selection.query 'learned'. Annealed to zero over training."""
    schedule: Literal["static", "progressive", "curriculum"] = "static"
    """static: weights as given after a warm-up of a tenth of the steps. progressive: the terms
    beside the task come in one after another. curriculum: they lead at first and give way to the
    task."""

    def __post_init__(self) -> None:
        for term in fields(self):
            if term.name != "schedule":
                at_least(term.name, getattr(self, term.name), 0)
        above("task", self.task, 0)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimisation. What is learned depends on these, so no fit may change them."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    global_batch: int = 32
    """Samples per optimizer step; micro-batch x accumulation x world size always equals it."""
    max_steps: int = 10000
    """Optimizer steps; 0 evaluates the base model as it is."""
    learning_rate: float = 5e-5
    """Peak learning rate."""
    selector_learning_rate: float = 3e-3
    """Peak learning rate of the learned selector (used with selection.query 'learned'); its
    schedule is that of the others."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    warmup_steps: int = 1000
    """Steps of linear warm-up."""
    lr_scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    """Schedule after the warm-up."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """Optimizer; adamw_8bit keeps its state in 8 bits."""
    max_grad_norm: float = 1.0
    """Gradient clipping."""
    save_steps: int = 500
    """Steps between checkpoints."""
    logging_steps: int = 50
    """Steps between metric lines."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: fp16 on V100, bf16 where the card has it, fp32 on a CPU. An explicit value wins."""
    on_non_finite: Literal["fail", "skip"] = "fail"
    """What a step whose loss or gradient is not finite does. fail: end the run. skip: leave weights
    and schedule as they are and go on with the next samples; five in a row end the run."""
    loss: LossConfig = field(default_factory=LossConfig)
    """Loss weights."""

    def __post_init__(self) -> None:
        at_least("global_batch", self.global_batch, 1)
        at_least("max_steps", self.max_steps, 0)
        above("learning_rate", self.learning_rate, 0)
        above("selector_learning_rate", self.selector_learning_rate, 0)
        at_least("weight_decay", self.weight_decay, 0)
        at_least("warmup_steps", self.warmup_steps, 0)
        check(
            self.warmup_steps <= self.max_steps,
            f"warmup_steps must not exceed max_steps ({self.max_steps}), got {self.warmup_steps}",
        )
        above("max_grad_norm", self.max_grad_norm, 0)
        at_least("save_steps", self.save_steps, 1)
        at_least("logging_steps", self.logging_steps, 1)
