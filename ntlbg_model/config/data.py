"""What is trained and evaluated on, and how answers are scored."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ntlbg_model.config.checks import STRICT, above, at_least, check
from ntlbg_model.names import flaw_of_file_name

Metric = Literal[
    "accuracy",
    "needle_recall",
    "visual_tokens",
    "seconds_per_question",
    "peak_memory_mib",
]


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
    """Of a training set: its share of the samples drawn, relative to the others'. Of an evaluation
    set: how much it counts in what a sweep's trials are judged by."""
    max_questions: int | None = None
    """Use only the first questions; null: all."""

    def __post_init__(self) -> None:
        flaw = flaw_of_file_name(self.name)
        check(flaw is None, f"name {flaw}")
        check(bool(self.path.strip()) and "\0" not in self.path, "path must not be empty")
        above("weight", self.weight, 0)
        if self.max_questions is not None:
            at_least("max_questions", self.max_questions, 1)


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
            check(len(names) == len(set(names)), f"{part} names a data set twice: {names}")


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
    """What comparisons show. All of it is measured, and kept in storage and MLflow."""

    def __post_init__(self) -> None:
        at_least("batch_size", self.batch_size, 1)
        check(len(self.metrics) > 0, "metrics must name at least one metric")
