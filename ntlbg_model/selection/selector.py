"""The learned NTLBG selector: which frame pairs answer a question.

prepare: one pass over a video's features, cached. score: the question's Gaussian times the
video's, a contour in it, self-information. select: capped mass, time cells, one pair a cell.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.capped import inclusion_probabilities
from ntlbg_model.selection.cells import middles, pick, standing_out, time_cells
from ntlbg_model.selection.conditioned import QuestionHead, conditioned_distances
from ntlbg_model.selection.contour import contour_level, off_contour
from ntlbg_model.selection.draw import systematic
from ntlbg_model.selection.index import VideoIndex, index_points, project
from ntlbg_model.selection.lbg import refine_rows
from ntlbg_model.selection.ntlbg import floored


@dataclass(frozen=True, kw_only=True)
class Scored:
    """How much a question wants each pair of its video; a batch of rows."""

    scores: Tensor
    """[B, P], g; -inf where masked."""
    distances: Tensor
    """[B, P], distance in the product Gaussian over its mean."""
    level: Tensor
    """[B, 1], contour c in the same unit."""
    floor: Tensor
    """[B, 1], uniform share alpha."""
    mass: Tensor
    """[B, P], sums to one."""
    information: Tensor
    """[B, P], self-information of each pair in its video, whatever is asked."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The pairs kept of each row."""

    pairs: Tensor
    """LongTensor [B, K], ascending; rows with fewer are filled up with P."""
    cells: Tensor
    """[B, P], time cell of every pair."""
    probabilities: Tensor
    """[B, P], inclusion probabilities: at most one, summing to the row's count."""
    gate: Tensor
    """[B, K], zero in value; its gradient is that of log p of the kept pairs."""


class QuestionEncoder(nn.Module):
    """Token embeddings of a question to one vector: learned attention pooling, then an MLP."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.weigh = nn.Linear(width, 1)
        self.mlp = nn.Sequential(
            nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """`tokens` [B, S, width] with `mask` [B, S], true for tokens; [B, hidden]."""
        x = self.norm(tokens.float())
        weights = self.weigh(x).squeeze(-1).masked_fill(~mask, -torch.inf).softmax(-1)
        pooled = (weights.unsqueeze(-1) * x).sum(1)
        largest = x.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)
        encoded: Tensor = self.mlp(torch.cat((pooled, largest), dim=-1))
        return encoded


class NTLBGSelector(nn.Module):
    """Parameters of the selection; float32 whatever the backbone's precision."""

    def __init__(
        self,
        config: SelectionConfig,
        feature_width: int,
        question_width: int,
        hidden: int,
        *,
        aligned: bool = False,
    ) -> None:
        """`aligned` adds what `describe` needs: only a training that aligns has it."""
        super().__init__()
        self._config = config
        directions = torch.empty(feature_width, config.rank)
        self.directions = nn.Parameter(nn.init.orthogonal_(directions))
        self.encoder = QuestionEncoder(question_width, hidden)
        self.gaussian = QuestionHead(hidden, config.rank, config.query_rank)
        self.shape = nn.Linear(hidden, len(_SHAPE))
        self.alignment = nn.Linear(hidden, config.rank) if aligned else None
        nn.init.zeros_(self.shape.weight)
        with torch.no_grad():
            self.shape.bias.copy_(torch.tensor(list(_SHAPE.values())))
            floor = torch.tensor(config.uniform_floor).logit(eps=1e-3)
            self.shape.bias[list(_SHAPE).index("floor")] = floor

    def prepare(self, features: Tensor, mask: Tensor | None = None) -> VideoIndex:
        """The index of `features` [B, P, d]; one pass, reusable for every question."""
        with torch.autocast(features.device.type, enabled=False):
            return index_points(project(features, self.directions), mask)

    def score(
        self,
        index: VideoIndex,
        tokens: Tensor,
        token_mask: Tensor,
        count: int | Tensor,
        similarity: Tensor | None = None,
    ) -> Scored:
        """Scores of every pair for the question with token embeddings `tokens` [B, S, width].

        `similarity` [B, P] is a text-image similarity where one is at hand; standardised within
        the video, it enters with a learned weight. `count` is one number or one a row.
        """
        with torch.autocast(tokens.device.type, enabled=False):
            encoded = self.encoder(tokens, token_mask)
            distances = conditioned_distances(index, self.gaussian(encoded))
            return self._scored(index, distances, self.shape(encoded), count, similarity)

    def describe(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Questions [B, S, width] as vectors [B, R] of the subspace, to be held against what is
        kept for them. Raises ValueError where the selector was built without."""
        if self.alignment is None:
            raise ValueError("the selector was built without alignment")
        with torch.autocast(tokens.device.type, enabled=False):
            described: Tensor = self.alignment(self.encoder(tokens, mask))
            return described

    def select(self, scored: Scored, count: int | Tensor, start: Tensor | None = None) -> Chosen:
        """One pair a time cell: the best one, or a quiet one where none stands out. Where `start`
        [B] in [0, 1) is given, a random draw in which pair t has probability p_t exactly. `count`
        is one number or one a row."""
        probabilities = inclusion_probabilities(scored.mass, count)
        cells = time_cells(probabilities.detach(), count)
        if start is None:
            most = int(torch.as_tensor(count).max())
            best = pick(scored.scores.detach(), cells, most)
            quiet = self._quiet(scored, cells, most)
            pairs = standing_out(best, self._stand_out(scored), quiet)
        else:
            pairs = systematic(probabilities.detach(), count, start)
        return Chosen(
            pairs=pairs, cells=cells, probabilities=probabilities, gate=_gate(probabilities, pairs)
        )

    def refine(self, index: VideoIndex, chosen: Chosen, counts: Tensor) -> Chosen:
        """Representative points of what the question wants, in place of the best of each cell.

        `refine_iterations` sweeps over the video's whitened points and time, weighted with the
        inclusion probabilities; nothing changes without sweeps. `counts` [B].
        """
        sweeps = self._config.refine_iterations
        if sweeps == 0:
            return chosen
        weights = chosen.probabilities.detach()
        pairs = refine_rows(index.whitened(), weights, index.mask, counts, sweeps)
        return replace(chosen, pairs=pairs, gate=_gate(chosen.probabilities, pairs))

    def _stand_out(self, scored: Scored) -> Tensor:
        """[B, P], true for pairs with mass enough, also beside the peaks of the question."""
        config, scores = self._config, scored.scores.detach()
        present = scores > -torch.inf
        lift = scored.mass.detach() * present.sum(-1, keepdim=True)
        share = floored(scores / config.temperature, 0, present)
        beside = share.square().sum(-1, keepdim=True) * config.suppress_secondary_peaks
        return (lift >= config.min_prominence) & (share >= beside)

    def _quiet(self, scored: Scored, cells: Tensor, count: int) -> Tensor:
        """The pair [B, count] that stands for a cell in which none stands out."""
        present = scored.scores > -torch.inf
        if self._config.empty_cell_policy == "middle":
            return middles(present, cells, count)
        ordinary = (-scored.information.detach()).masked_fill(~present, -torch.inf)
        return pick(ordinary, cells, count)

    def _scored(
        self,
        index: VideoIndex,
        distances: Tensor,
        shape: Tensor,
        count: int | Tensor,
        similarity: Tensor | None,
    ) -> Scored:
        config = self._config
        value = dict(zip(_SHAPE, shape.unsqueeze(1).unbind(-1), strict=True))
        weight = index.mask.to(distances.dtype)
        size = weight.sum(-1, keepdim=True)
        average = (distances * weight).sum(-1, keepdim=True) / size.clamp(min=1)
        average = average.clamp(min=torch.finfo(distances.dtype).tiny)
        relative = distances / torch.where(size > 0, average, torch.ones_like(average))
        level = self._level(relative, functional.softplus(value["level"]), count, index.mask)
        scores = -off_contour(relative, level, value["log_width"].exp())
        if config.constraint_type != "hard_equicontour":
            scores = scores + value["information"] * index.information
            if similarity is not None:
                scores = scores + value["similarity"] * standardised(similarity, index.mask)
        floor = value["floor"].sigmoid() if config.learned_floor else None
        alpha = torch.full_like(level, config.uniform_floor) if floor is None else floor
        scores = scores.masked_fill(~index.mask, -torch.inf)
        mass = floored(scores / config.temperature, alpha, index.mask)
        return Scored(
            scores=scores,
            distances=relative,
            level=level,
            floor=alpha,
            mass=mass,
            information=index.information,
        )

    def _level(
        self, relative: Tensor, learned: Tensor, count: int | Tensor, mask: Tensor
    ) -> Tensor:
        config = self._config
        if config.constraint_type == "none":
            return torch.zeros_like(learned)
        if config.contour == "learned":
            return learned
        return contour_level(
            relative,
            config.contour,
            count=count,
            rank=config.rank,
            quantile=config.contour_quantile,
            mask=mask,
        )


_SHAPE = {"level": -2.0, "log_width": -1.0, "information": 0.3, "similarity": 1.0, "floor": 0.0}
"""Scalars that a question sets, and where they start: near relevance, with self-information."""


def standardised(values: Tensor, mask: Tensor) -> Tensor:
    """`values` [B, P] with mean zero and deviation one over the unmasked pairs of each row."""
    weight = mask.to(values.dtype)
    size = weight.sum(-1, keepdim=True).clamp(min=1)
    centred = (values - (values * weight).sum(-1, keepdim=True) / size) * weight
    deviation = (centred.square().sum(-1, keepdim=True) / size).sqrt()
    return centred / deviation.clamp(min=1e-6)


def _gate(probabilities: Tensor, pairs: Tensor) -> Tensor:
    """log p_k - stop-gradient(log p_k) [B, K]; zero for filled up places."""
    there = pairs < probabilities.shape[-1]
    kept = probabilities.gather(-1, pairs.clamp(max=probabilities.shape[-1] - 1))
    log = kept.clamp(min=torch.finfo(torch.float32).tiny).log().float()
    return torch.where(there, log - log.detach(), torch.zeros_like(log))
