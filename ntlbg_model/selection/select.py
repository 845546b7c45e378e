"""One entry to every selection method."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection import baselines, gaussian, robust
from ntlbg_model.selection.median_contour import contour_scores, median_contour
from ntlbg_model.selection.ntlbg import ntlbg


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The pairs a method keeps of one video."""

    pairs: Tensor
    """LongTensor [k], ascending, distinct."""
    scores: Tensor
    """Float [P], the method's preference for each pair; zeros where it has none."""


def select_pairs(features: Tensor, pairs: int, config: SelectionConfig, seed: int) -> Selection:
    """Exactly `pairs` of the P candidate pairs with `features` [P, d], by `config.method`.

    The same arguments give the same pairs; `seed` matters to 'random' alone. All candidates are
    kept where `pairs` is P or the method is 'all_frames'. Raises ValueError for a method that is
    not built and unless 0 < pairs <= P.
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
    raise ValueError(f"selection method {config.method!r} is not built")


def needs_features(config: SelectionConfig) -> bool:
    """Whether the method looks at the frames at all."""
    return config.method in ("ntlbg", "median_contour")


def _coordinates(features: Tensor, config: SelectionConfig) -> Tensor:
    """Whitened principal coordinates [P, R] of the video's own features."""
    fit = robust.fit if config.moments == "robust" else gaussian.fit
    with torch.autocast(features.device.type, enabled=False):
        return fit(features, config.rank).own
