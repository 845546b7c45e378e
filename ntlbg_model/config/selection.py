"""Which frames are kept."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from ntlbg_model.config.checks import STRICT, above, at_least, between, check

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
    min_prominence: float = 1.5
    """Least mass, in multiples of the even share, at which the best pair of a time cell is kept; a
    cell in which nothing stands out keeps its middle pair (query 'learned'). 0: always the best."""
    suppress_secondary_peaks: float = 0.0
    """Second condition on the best pair of a time cell, beside min_prominence (query 'learned'):
    its share of the softmax over scores, floor aside, in multiples of an even share among the
    effective number of pairs (one over the sum of squares). Where one moment answers, lesser peaks
    are look-alikes; where many do, each counts. 0: no such condition."""
    empty_cell_policy: Literal["middle", "typical"] = "middle"
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
        check(
            self.encoder is None or {self.features, self.similarity} != {"clip", "siglip"},
            "encoder names one model, but features and similarity ask for clip and siglip",
        )
        at_least("rank", self.rank, 1)
        at_least("query_rank", self.query_rank, 1)
        at_least("min_prominence", self.min_prominence, 0)
        at_least("suppress_secondary_peaks", self.suppress_secondary_peaks, 0)
        check(
            self.query == "none" or self.method == "ntlbg",
            f"query 'learned' needs method 'ntlbg', got {self.method!r}",
        )
        check(
            self.query == "learned" or self.contour != "learned",
            "contour 'learned' needs query 'learned'",
        )
        check(
            self.query == "learned" or not self.learned_floor,
            "learned_floor needs query 'learned'",
        )
        check(
            self.query == "none" or self.moments == "plain",
            "moments 'robust' needs query 'none'",
        )
        between("contour_quantile", self.contour_quantile, 0, 1)
        above("contour_width", self.contour_width, 0)
        between("uniform_floor", self.uniform_floor, 0, 1)
        above("temperature", self.temperature, 0)
        at_least("refine_iterations", self.refine_iterations, 0)

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
