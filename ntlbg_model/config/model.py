"""The base model, and what is trained of it."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ntlbg_model.config.checks import STRICT, above, at_least, between, check

Reducer = Literal[
    "qwen2_vl",
    "llava_video",
    "video_chatgpt",
    "videollama",
    "valley",
    "video_llama2",
    "pllava",
]

Architecture = Literal[
    "qwen2_vl",
    "llava_onevision",
    "llava_next_video",
    "video_llava",
    "instructblipvideo",
    "video_llama_3",
    "qwen3_vl",
]

ValleyPooling = Literal["mean", "weighted", "transformer"]


@dataclass(frozen=True, kw_only=True)
class RichPointsConfig:
    """Context added to the tokens of a representative point."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    enabled: bool = False
    """Add multi-scale spatial tokens and the pooled context of the point's time cell."""
    multi_scale: Literal["added", "appended"] = "added"
    """added: a pair's half-size grid and mean are projected onto its tokens, whose number stays.
    appended: they follow the pair as tokens of their own (reducer 'qwen2_vl' alone)."""
    feature_dim: int = 1024
    """Width of the projections of what is added."""
    context_window_size: int = 0
    """Frames around a point that are pooled into it, which may reach into other cells; 0 pools
    the point's own time cell."""

    def __post_init__(self) -> None:
        at_least("feature_dim", self.feature_dim, 1)
        at_least("context_window_size", self.context_window_size, 0)


@dataclass(frozen=True, kw_only=True)
class TemporalConfig:
    """Modelling across representative points."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    layers: Literal[0, 2, 4, 6] = 0
    """Temporal attention layers over the points."""
    hierarchical: bool = False
    """Attend within segments first, then across them."""
    memory_bank_size: int = 0
    """Points that attention can look back at, near ones merged when there are more; constant
    memory in the video's length. 0: every point."""

    def __post_init__(self) -> None:
        at_least("memory_bank_size", self.memory_bank_size, 0)
        check(
            self.layers > 0 or not self.hierarchical, "hierarchical needs temporal layers above 0"
        )
        check(
            self.layers > 0 or self.memory_bank_size == 0,
            "memory_bank_size needs temporal layers above 0",
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The base model and what is trained of it. All of it belongs to the variant."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    base_model: str = "Qwen/Qwen2-VL-7B-Instruct"
    """A hub name or a local folder of a Qwen2-VL or Qwen2.5-VL, or 'tiny': the 2 M-parameter
    Qwen2-VL in this package."""
    architecture: Architecture = "qwen2_vl"
    """What base_model is. qwen2_vl is the backbone of this project; the others are published video
    models that answer through their own class as they are, over the frames that the selection
    keeps, resized to what their checkpoint asks for (tuning 'none')."""
    billion_parameters: float | None = None
    """Size of a base model of another architecture, from which its memory is predicted."""
    ntlbg_hidden_size: int = 4096
    """Width of the learned selector's query encoder (used with selection.query 'learned')."""
    reducer: Reducer = "qwen2_vl"
    """What turns the vision grid into language-model tokens; qwen2_vl is the backbone's own."""
    valley_pooling: ValleyPooling = "mean"
    """How reducer 'valley' pools over time: the paper's v1, v2 (learned weights of the frames) or
    v3 (a transformer over time added to the mean)."""
    tuning: Literal["lora", "full", "none"] = "lora"
    """Low-rank adapters, every weight of the language model, or none of it: evaluation only, or
    training of a learned selector alone."""
    vision: Literal["frozen", "trained"] = "frozen"
    """Whether the vision tower with its merger is trained too (with tuning 'full')."""
    lora_rank: int = 16
    """Rank of the adapters."""
    lora_alpha: int = 32
    """Scale of the adapters: alpha / rank."""
    lora_dropout: float = 0.0
    """Dropout on the adapters' input."""
    quantisation: Literal["none", "int8", "nf4"] = "none"
    """Storage of the frozen base weights."""
    flash_attention: bool = True
    """Use FlashAttention where the hardware has it."""
    liger: bool = False
    """Use Liger's fused kernels where there is a GPU and liger-kernel is installed; elsewhere the
    log says that the model's own layers run."""
    gradient_checkpointing: bool = True
    """Allow the fit to recompute activations in the backward pass."""
    vision_cache_mib: int = 512
    """Host memory for vision features of the frame pairs seen last, MiB a worker, where the tower
    is frozen; answers are the same with any value. A pair of 224 x 224 pixels takes 0.44 MiB with
    the 7B. 0: none."""
    feature_alignment: Literal["none", "statistical_distribution", "structural_similarity"] = "none"
    """How the kept points are aligned with the video, as part of training.loss.feature_alignment
    beside the alignment with the question. statistical_distribution: their first two moments with
    the video's. structural_similarity: the similarities between spans of time with the video's."""
    rich_points: RichPointsConfig = field(default_factory=RichPointsConfig)
    """Context added to each point."""
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    """Modelling across points."""

    def __post_init__(self) -> None:
        check(bool(self.base_model.strip()), "base_model must not be empty")
        at_least("ntlbg_hidden_size", self.ntlbg_hidden_size, 1)
        at_least("lora_rank", self.lora_rank, 1)
        at_least("lora_alpha", self.lora_alpha, 1)
        between("lora_dropout", self.lora_dropout, 0, 1)
        at_least("vision_cache_mib", self.vision_cache_mib, 0)
        check(
            self.vision == "frozen" or self.tuning == "full",
            f"vision 'trained' needs tuning 'full', got {self.tuning!r}",
        )
        check(
            self.quantisation == "none" or self.tuning != "full",
            "quantisation of the base excludes tuning 'full': nothing can be trained in it",
        )
        check(
            self.rich_points.multi_scale == "added" or self.reducer == "qwen2_vl",
            "rich_points.multi_scale 'appended' needs reducer 'qwen2_vl'",
        )
        if self.architecture != "qwen2_vl":
            self._check_native()

    def _check_native(self) -> None:
        """A published model is evaluated as it is."""
        asked = f"architecture {self.architecture!r}"
        kept = {"tuning": "none", "reducer": "qwen2_vl", "quantisation": "none"}
        for name, value in kept.items():
            check(getattr(self, name) == value, f"{name} must be {value!r} with {asked}")
        check(not self.rich_points.enabled, f"rich_points.enabled must be false with {asked}")
        check(self.temporal.layers == 0, f"temporal.layers must be 0 with {asked}")
        check(
            self.billion_parameters is not None,
            f"billion_parameters must say how large {self.base_model!r} is: {asked} needs it to "
            "predict memory",
        )
        above("billion_parameters", self.billion_parameters or 0, 0)
