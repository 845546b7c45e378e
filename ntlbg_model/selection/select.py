"""One entry to every selection method."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig, SelectionMethod
from ntlbg_model.selection import baselines, gaussian, robust
from ntlbg_model.selection.aks import aks
from ntlbg_model.selection.bolt import bolt
from ntlbg_model.selection.clip_topk import clip_topk
from ntlbg_model.selection.dpp import dpp
from ntlbg_model.selection.farthest_point import farthest_point
from ntlbg_model.selection.kmeans import kmeans
from ntlbg_model.selection.median_contour import contour_scores, median_contour
from ntlbg_model.selection.ntlbg import ntlbg
from ntlbg_model.selection.q_frame import q_frame


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The pairs a method keeps of one video."""

    pairs: Tensor
    """LongTensor [k], ascending, distinct."""
    scores: Tensor
    """Float [P], the method's preference for each pair; zeros where it has none."""


def select_pairs(
    features: Tensor,
    pairs: int,
    config: SelectionConfig,
    seed: int,
    similarity: Tensor | None = None,
) -> Selection:
    """Exactly `pairs` of the P candidate pairs with `features` [P, d], by `config.method`.

    `similarity` [P] to the question is for methods that compare with the question, on the
    features' device. The same arguments give the same pairs; `seed` matters to 'random',
    'q_frame' and 'kmeans' alone. All candidates are kept where `pairs` is P or the method is
    'all_frames'. Raises ValueError where a similarity is missing and unless 0 < pairs <= P.
    """
    candidates = features.shape[0]
    if not 0 < pairs <= candidates:
        raise ValueError(f"pairs must be between 1 and the {candidates} candidates, got {pairs}")
    none = torch.zeros(candidates)
    if config.method == "all_frames" or pairs == candidates:
        return Selection(pairs=torch.arange(candidates), scores=none)
    if config.method == "uniform":
        return Selection(pairs=baselines.uniform(candidates, pairs), scores=none)
    if config.method == "random":
        return Selection(pairs=baselines.random(candidates, pairs, seed), scores=none)
    if config.method == "ntlbg":
        chosen, scores = ntlbg(_coordinates(features, config), pairs, config)
        return Selection(pairs=chosen, scores=scores)
    if config.method == "median_contour":
        distances = _coordinates(features, config).norm(dim=1)
        chosen = median_contour(distances, pairs)
        return Selection(pairs=chosen, scores=contour_scores(distances))
    if config.method == "kmeans":
        return Selection(pairs=kmeans(features, pairs, seed), scores=none)
    if config.method == "farthest_point":
        return Selection(pairs=farthest_point(features, pairs), scores=none)
    if similarity is None:
        raise ValueError(f"selection method {config.method!r} needs the similarity to a question")
    chosen = _by_similarity(features, similarity, pairs, config.method, seed)
    return Selection(pairs=chosen, scores=similarity)


def _by_similarity(
    features: Tensor, similarity: Tensor, pairs: int, method: SelectionMethod, seed: int
) -> Tensor:
    if method == "clip_topk":
        return clip_topk(similarity, pairs)
    if method == "aks":
        return aks(similarity, pairs)
    if method == "bolt":
        return bolt(similarity, pairs)
    if method == "q_frame":
        return q_frame(similarity, pairs, seed)
    return dpp(features, pairs, similarity)


def _coordinates(features: Tensor, config: SelectionConfig) -> Tensor:
    """Whitened principal coordinates [P, R] of the video's own features."""
    fit = robust.fit if config.moments == "robust" else gaussian.fit
    with torch.autocast(features.device.type, enabled=False):
        return fit(features, config.rank).own
