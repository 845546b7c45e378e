"""A whole variant, and what its sections ask of each other."""

from dataclasses import dataclass, field, fields
from typing import ClassVar

from ntlbg_model.config.checks import STRICT, at_least, check
from ntlbg_model.config.data import DataConfig, EvaluationConfig
from ntlbg_model.config.model import ModelConfig
from ntlbg_model.config.selection import SelectionConfig
from ntlbg_model.config.training import TrainingConfig
from ntlbg_model.config.video import VideoConfig


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Where a run may go. Empty fields leave the choice to the fit."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    profile: str | None = None
    """Only this GPU kind, for example 'A100-40GB' or 'cpu'."""
    num_gpus: int | None = None
    """Exactly this many GPUs."""

    def __post_init__(self) -> None:
        if self.num_gpus is not None:
            at_least("num_gpus", self.num_gpus, 1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """One variant, whole: everything a run needs to know but its seed."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    video: VideoConfig = field(default_factory=VideoConfig)
    """Frames read and kept."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)
    """Which frames are kept."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Base model and what is trained."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Optimisation."""
    data: DataConfig = field(default_factory=DataConfig)
    """Training and evaluation sets."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """Scoring."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """Where a run may go."""

    def __post_init__(self) -> None:
        learned = self.selection.query == "learned"
        check(
            not learned or self.training.max_steps > 0,
            "training.max_steps must be above 0 when selection.query is 'learned': there would "
            "be nothing but an untrained selector to evaluate",
        )
        self._check_architecture()
        check(
            self.model.tuning != "none" or learned or self.training.max_steps == 0,
            "training.max_steps must be 0 when model.tuning is 'none', "
            f"got {self.training.max_steps}",
        )
        loss = self.training.loss
        for term in fields(loss):
            weight = getattr(loss, term.name)
            check(
                learned or term.name in ("task", "schedule") or weight == 0,
                f"training.loss.{term.name} needs selection.query 'learned': without it nothing "
                f"that is trained depends on the term, got {weight}",
            )
        check(
            self.model.vision == "frozen"
            or not (self.selection.looks_through_backbone or loss.distillation > 0),
            "model.vision 'trained' changes what a selection through the backbone looks at: it "
            "needs another selection.features and selection.similarity than 'backbone', and "
            "training.loss.distillation 0",
        )
        check(
            self.model.feature_alignment == "none" or loss.feature_alignment > 0,
            f"model.feature_alignment {self.model.feature_alignment!r} needs "
            "training.loss.feature_alignment above 0",
        )
        check(
            self.model.reducer not in ("videollama", "video_llama2") or self.training.max_steps > 0,
            f"model.reducer {self.model.reducer!r} is trained from scratch: it needs "
            "training.max_steps above 0",
        )

    def _check_architecture(self) -> None:
        """Only the project's own backbone can be looked through."""
        if self.model.architecture == "qwen2_vl":
            return
        for name in ("features", "similarity"):
            check(
                getattr(self.selection, name) != "backbone",
                f"selection.{name} 'backbone' needs model.architecture 'qwen2_vl', "
                f"got {self.model.architecture!r}",
            )
