"""Every option of a run, as frozen dataclasses. Standard library only.

Each class is one section of a configuration file, each field one key, and the string below a
field is its documentation (`ntlbg config schema` prints it). Range and cross-field checks are
in `__post_init__` and raise `ValueError` with a message that begins with the field's name.
"""

from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from ntlbg_model.names import flaw_of_file_name

STRICT: dict[str, object] = {"extra": "forbid", "use_attribute_docstrings": True}
"""Read by pydantic where a file is validated: unknown keys are errors, docstrings are kept."""

PAIR = 2
"""Qwen2-VL's vision tower fuses two consecutive frames into one temporal patch."""

SelectionMethod = Literal[
    "ntlbg",
    "median_contour",
    "uniform",
    "random",
    "all_frames",
    "clip_topk",
    "aks",
    "bolt",
    "q_frame",
    "dpp",
    "kmeans",
    "farthest_point",
]
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
Metric = Literal[
    "accuracy",
    "needle_recall",
    "visual_tokens",
    "seconds_per_question",
    "peak_memory_mib",
]


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _at_least(name: str, value: float, least: float) -> None:
    _check(value >= least, f"{name} must be at least {least}, got {value}")


def _above(name: str, value: float, bound: float) -> None:
    _check(value > bound, f"{name} must be above {bound}, got {value}")


def _between(name: str, value: float, low: float, high: float) -> None:
    _check(low <= value <= high, f"{name} must be between {low} and {high}, got {value}")


@dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """What is read of a video, and how many of its frames the language model sees."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    max_frames: int = 4096
    """Candidate frames; a longer video is sampled uniformly down to this many."""
    num_representatives: int | None = None
    """Frames kept (K). null: by the coverage rule below. The caps below apply either way."""
    coverage_ratio: float = 0.125
    """Share of the candidate frames that become representatives."""
    min_representatives: int = 16
    """Least number of representatives; where the cap below is smaller, the cap wins."""
    max_representatives_ratio: float = 0.5
    """Most representatives, as a share of the candidate frames."""
    representative_alignment: int = 8
    """K is rounded down to a multiple of this."""
    frame_resolution: tuple[int, int] = (224, 224)
    """Height and width in pixels that each kept frame is resized to; multiples of 28."""

    def __post_init__(self) -> None:
        _at_least("max_frames", self.max_frames, PAIR)
        if self.num_representatives is not None:
            _at_least("num_representatives", self.num_representatives, PAIR)
            _check(
                self.num_representatives <= self.max_frames,
                f"num_representatives must not exceed max_frames ({self.max_frames}), "
                f"got {self.num_representatives}",
            )
        _above("coverage_ratio", self.coverage_ratio, 0)
        _between("coverage_ratio", self.coverage_ratio, 0, 1)
        _at_least("min_representatives", self.min_representatives, PAIR)
        _above("max_representatives_ratio", self.max_representatives_ratio, 0)
        _between("max_representatives_ratio", self.max_representatives_ratio, 0, 1)
        _at_least("representative_alignment", self.representative_alignment, PAIR)
        _check(
            self.representative_alignment % PAIR == 0,
            f"representative_alignment must be even (frames are kept in adjacent pairs), "
            f"got {self.representative_alignment}",
        )
        for side in self.frame_resolution:
            _check(
                side >= 28 and side % 28 == 0,
                f"frame_resolution must be multiples of 28 (patch 14, merged 2 x 2), got {side}",
            )

    def candidates(self, frames: int) -> int:
        """Candidate frames of a video of `frames` frames."""
        return min(frames, self.max_frames)

    def representatives(self, frames: int) -> int:
        """K for a video of `frames` frames: the one rule that every selection method obeys.

        max(min_representatives, floor(coverage x n)), then at most max_representatives_ratio x n,
        then down to a multiple of the alignment. Under `min_representatives` candidate frames,
        all of them (down to an even number, since frames are kept in pairs).
        """
        n = self.candidates(frames)
        if n < self.min_representatives:
            return n - n % PAIR
        wanted = self.num_representatives
        if wanted is None:
            wanted = max(self.min_representatives, int(n * self.coverage_ratio))
        capped = min(wanted, int(n * self.max_representatives_ratio))
        aligned = capped // self.representative_alignment * self.representative_alignment
        return aligned if aligned else max(PAIR, capped - capped % PAIR)


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which frames are kept. Every method keeps K/2 of the n/2 adjacent frame pairs."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    method: SelectionMethod = "ntlbg"
    """ntlbg: representative points by self-information, capped mass and time cells.
    median_contour: the published NTLBG rule (frames nearest the median Mahalanobis distance,
    spread in time), kept as an ablation. uniform, random: evenly spaced, at random.
    The others are baselines of the literature."""
    features: Literal["pixels", "backbone", "clip", "siglip"] = "pixels"
    """What the statistics are computed on: thumbnails of the frames, the backbone's first
    vision blocks, or an image encoder."""
    similarity: Literal["backbone", "clip", "siglip"] = "clip"
    """What scores a pair against the question, for the methods that compare with text: an image
    and text encoder, or the backbone's merged vision tokens against its own word embeddings."""
    encoder: str | None = None
    """Hub name or local folder of the CLIP or SigLIP that the two options above ask for. null:
    the checkpoint that publications use."""
    query: Literal["none", "learned"] = "none"
    """none: statistics of the video alone, without training. learned: a trained selector
    conditions the Gaussian on the question."""
    query_rank: int = 8
    """Rank of the question's precision matrix (used with query 'learned')."""
    learned_floor: bool = False
    """Learn the uniform floor for each question, starting at uniform_floor (query 'learned')."""
    stand_out: float = 1.5
    """Least mass, in multiples of the even share, at which the best pair of a time cell is kept; a
    cell in which nothing stands out keeps its middle pair (query 'learned'). 0: always the best."""
    beside_peaks: float = 0.0
    """Second condition on the best pair of a time cell, beside stand_out (query 'learned'): its
    share of the softmax over scores, floor aside, in multiples of an even share among the effective
    number of pairs (one over the sum of squares). Where one moment answers, lesser peaks are
    look-alikes; where many do, each counts. 0: no such condition."""
    quiet_cells: Literal["middle", "typical"] = "middle"
    """What a cell in which nothing stands out keeps (query 'learned'): its middle pair, or the most
    typical one, of least self-information, which is no burst."""
    rank: int = 16
    """Dimensions of the principal subspace in which distances are taken."""
    moments: Literal["plain", "robust"] = "plain"
    """plain: mean and covariance of all pairs. robust: pairs far from the others count less, so
    that up to a quarter of outliers cannot move the Gaussian (query 'none')."""
    constraint_type: Literal["none", "soft_equicontour", "hard_equicontour"] = "none"
    """none: score by self-information alone. soft_equicontour: add a Gaussian preference for
    the contour level. hard_equicontour: only the distance to the contour counts."""
    contour: Literal["median", "quantile", "rate", "zero", "learned"] = "quantile"
    """Level of the contour that `constraint_type` refers to: the median distance, the quantile
    below, the rate-distortion radius, zero (relevance), or learned."""
    contour_quantile: float = 0.99
    """Quantile of the distances taken as the level when contour is 'quantile'."""
    contour_width: float = 0.25
    """Width of the soft contour in units of the mean distance."""
    uniform_floor: float = 0.5
    """Share alpha of the probability mass that is spread evenly over time; 1 is uniform."""
    temperature: float = 0.7
    """Temperature of the softmax over scores."""
    refine_iterations: int = 0
    """Linde-Buzo-Gray sweeps over appearance and time after the number-theoretic start; 0 keeps
    the time cells, whose picks cover every stretch of time. With query 'learned' what is picked
    for an answer is refined; the draws of the training stay as they are."""

    def __post_init__(self) -> None:
        _check(
            self.encoder is None or {self.features, self.similarity} != {"clip", "siglip"},
            "encoder names one model, but features and similarity ask for clip and siglip",
        )
        _at_least("rank", self.rank, 1)
        _at_least("query_rank", self.query_rank, 1)
        _at_least("stand_out", self.stand_out, 0)
        _at_least("beside_peaks", self.beside_peaks, 0)
        _check(
            self.query == "none" or self.method == "ntlbg",
            f"query 'learned' needs method 'ntlbg', got {self.method!r}",
        )
        _check(
            self.query == "learned" or self.contour != "learned",
            "contour 'learned' needs query 'learned'",
        )
        _check(
            self.query == "learned" or not self.learned_floor,
            "learned_floor needs query 'learned'",
        )
        _check(
            self.query == "none" or self.moments == "plain",
            "moments 'robust' needs query 'none'",
        )
        _between("contour_quantile", self.contour_quantile, 0, 1)
        _above("contour_width", self.contour_width, 0)
        _between("uniform_floor", self.uniform_floor, 0, 1)
        _above("temperature", self.temperature, 0)
        _at_least("refine_iterations", self.refine_iterations, 0)

    @property
    def compares_frames(self) -> bool:
        """Whether the method compares frames with each other."""
        return self.method in ("ntlbg", "median_contour", "kmeans", "farthest_point", "dpp")

    @property
    def compares_with_question(self) -> bool:
        """Whether the method compares frames with the question: a choice for each question."""
        return self.method in ("clip_topk", "aks", "bolt", "q_frame", "dpp")

    @property
    def looks_through_backbone(self) -> bool:
        """Whether the base model's vision tower shows the method its frames."""
        by_features = self.compares_frames and self.features == "backbone"
        return by_features or (self.compares_with_question and self.similarity == "backbone")


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
        _at_least("feature_dim", self.feature_dim, 1)
        _at_least("context_window_size", self.context_window_size, 0)


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
        _at_least("memory_bank_size", self.memory_bank_size, 0)
        _check(
            self.layers > 0 or not self.hierarchical, "hierarchical needs temporal layers above 0"
        )
        _check(
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
        _check(bool(self.base_model.strip()), "base_model must not be empty")
        _at_least("ntlbg_hidden_size", self.ntlbg_hidden_size, 1)
        _at_least("lora_rank", self.lora_rank, 1)
        _at_least("lora_alpha", self.lora_alpha, 1)
        _between("lora_dropout", self.lora_dropout, 0, 1)
        _at_least("vision_cache_mib", self.vision_cache_mib, 0)
        _check(
            self.vision == "frozen" or self.tuning == "full",
            f"vision 'trained' needs tuning 'full', got {self.tuning!r}",
        )
        _check(
            self.quantisation == "none" or self.tuning != "full",
            "quantisation of the base excludes tuning 'full': nothing can be trained in it",
        )
        _check(
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
            _check(getattr(self, name) == value, f"{name} must be {value!r} with {asked}")
        _check(not self.rich_points.enabled, f"rich_points.enabled must be false with {asked}")
        _check(self.temporal.layers == 0, f"temporal.layers must be 0 with {asked}")
        _check(
            self.billion_parameters is not None,
            f"billion_parameters must say how large {self.base_model!r} is: {asked} needs it to "
            "predict memory",
        )
        _above("billion_parameters", self.billion_parameters or 0, 0)


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
                _at_least(term.name, getattr(self, term.name), 0)
        _above("task", self.task, 0)


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
        _at_least("global_batch", self.global_batch, 1)
        _at_least("max_steps", self.max_steps, 0)
        _above("learning_rate", self.learning_rate, 0)
        _above("selector_learning_rate", self.selector_learning_rate, 0)
        _at_least("weight_decay", self.weight_decay, 0)
        _at_least("warmup_steps", self.warmup_steps, 0)
        _check(
            self.warmup_steps <= self.max_steps,
            f"warmup_steps must not exceed max_steps ({self.max_steps}), got {self.warmup_steps}",
        )
        _above("max_grad_norm", self.max_grad_norm, 0)
        _at_least("save_steps", self.save_steps, 1)
        _at_least("logging_steps", self.logging_steps, 1)


@dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """One set of videos with questions."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    name: str
    """Name shown in results."""
    path: str
    """Folder, absolute or below the data root (`--data-root`)."""
    format: Literal["longvideobench", "video_mme", "mlvu"] = "longvideobench"
    """Layout of the folder."""
    weight: float = 1.0
    """Share of the training mixture, or of the weighted mean over benchmarks."""
    max_questions: int | None = None
    """Use only the first questions; null: all."""

    def __post_init__(self) -> None:
        flaw = flaw_of_file_name(self.name)
        _check(flaw is None, f"name {flaw}")
        _check(bool(self.path.strip()) and "\0" not in self.path, "path must not be empty")
        _above("weight", self.weight, 0)
        if self.max_questions is not None:
            _at_least("max_questions", self.max_questions, 1)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is trained and evaluated on."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    train: tuple[DatasetConfig, ...] = ()
    """Training sets, mixed by weight."""
    evaluation: tuple[DatasetConfig, ...] = ()
    """Evaluation sets; results are kept per set."""

    def __post_init__(self) -> None:
        for part in ("train", "evaluation"):
            names = [dataset.name for dataset in getattr(self, part)]
            _check(len(names) == len(set(names)), f"{part} names a data set twice: {names}")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How answers are scored."""

    __pydantic_config__: ClassVar[dict[str, object]] = STRICT

    scoring: Literal["option_words", "letters"] = "letters"
    """letters: the likeliest option letter. option_words: the likeliest option text, for a base
    model too small to have learned letters."""
    batch_size: int = 8
    """Questions answered at once, at most: a fit takes fewer where they would need more memory than
    the training."""
    metrics: tuple[Metric, ...] = (
        "accuracy",
        "needle_recall",
        "visual_tokens",
        "seconds_per_question",
        "peak_memory_mib",
    )
    """What is reported."""

    def __post_init__(self) -> None:
        _at_least("batch_size", self.batch_size, 1)
        _check(len(self.metrics) > 0, "metrics must name at least one metric")


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
            _at_least("num_gpus", self.num_gpus, 1)


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
        _check(
            not learned or self.training.max_steps > 0,
            "training.max_steps must be above 0 when selection.query is 'learned': there would "
            "be nothing but an untrained selector to evaluate",
        )
        self._check_architecture()
        _check(
            self.model.tuning != "none" or learned or self.training.max_steps == 0,
            "training.max_steps must be 0 when model.tuning is 'none', "
            f"got {self.training.max_steps}",
        )
        loss = self.training.loss
        for term in fields(loss):
            weight = getattr(loss, term.name)
            _check(
                learned or term.name in ("task", "schedule") or weight == 0,
                f"training.loss.{term.name} needs selection.query 'learned': without it nothing "
                f"that is trained depends on the term, got {weight}",
            )
        _check(
            self.model.vision == "frozen"
            or not (self.selection.looks_through_backbone or loss.distillation > 0),
            "model.vision 'trained' changes what a selection through the backbone looks at: it "
            "needs another selection.features and selection.similarity than 'backbone', and "
            "training.loss.distillation 0",
        )
        _check(
            self.model.feature_alignment == "none" or loss.feature_alignment > 0,
            f"model.feature_alignment {self.model.feature_alignment!r} needs "
            "training.loss.feature_alignment above 0",
        )
        _check(
            self.model.reducer not in ("videollama", "video_llama2") or self.training.max_steps > 0,
            f"model.reducer {self.model.reducer!r} is trained from scratch: it needs "
            "training.max_steps above 0",
        )

    def _check_architecture(self) -> None:
        """Only the project's own backbone can be looked through."""
        if self.model.architecture == "qwen2_vl":
            return
        for name in ("features", "similarity"):
            _check(
                getattr(self.selection, name) != "backbone",
                f"selection.{name} 'backbone' needs model.architecture 'qwen2_vl', "
                f"got {self.model.architecture!r}",
            )
