"""One step of a selector and a language model together: choose, ask, and what the choice costs.

The pairs are drawn with exact inclusion probabilities p. The attention to a kept pair gets the bias
log p - log p (the second a constant): zero in value, and d log p in gradient. This is the
straight-through gate by which the answer's loss reaches the selector. A factor on the pair's
features would be simpler, but what it measures is a change of scale, not how much a pair is
attended to: on the tiny base it drove the selection away from the flashes. Behind a connector,
whose tokens need not belong to one pair each, the factor is what there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.config import Config
from ntlbg_model.inputs.candidates import Candidates
from ntlbg_model.inputs.collate import collate
from ntlbg_model.learning import losses
from ntlbg_model.selection.index import VideoIndex
from ntlbg_model.selection.selector import Chosen, NTLBGSelector, Scored


@dataclass(frozen=True, kw_only=True)
class Questions:
    """A batch of questions over all pairs of their videos, for a draw."""

    config: Config
    rows: tuple[Candidates, ...]
    start: Tensor
    """[B] in [0, 1), where each row's draw starts."""
    teacher: Tensor | None
    """[B, P], attention mass, padded with zeros; None without distillation."""

    def to(self, device: torch.device | str) -> "Questions":
        """The same on `device`; features follow when they are used."""
        teacher = None if self.teacher is None else self.teacher.to(device)
        return replace(self, start=self.start.to(device), teacher=teacher)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was chosen for a batch of questions, and all that the choice came from."""

    index: VideoIndex
    scored: Scored
    chosen: Chosen
    counts: Tensor
    """[B], pairs kept of each row."""


def padded(rows: Sequence[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows [n_i, ...] as [B, max n, ...] and the mask [B, max n] of what is there."""
    values = nn.utils.rnn.pad_sequence([row.to(device) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return values, torch.arange(values.shape[1], device=device) < lengths.unsqueeze(1)


def embedded(words: nn.Module, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Word embeddings [B, S, width] of token ids, without gradient, and their mask [B, S]."""
    ids, mask = padded(rows, next(words.parameters()).device)
    with torch.no_grad():
        return words(ids), mask


def draw(
    selector: NTLBGSelector,
    words: nn.Module,
    index: VideoIndex,
    texts: Sequence[Tensor],
    counts: Tensor,
    start: Tensor | None = None,
) -> Drawn:
    """`counts` [B] pairs for each question, given by the token ids of its text; without a
    `start` [B] the best of each cell, refined where the selector does that."""
    tokens, token_mask = embedded(words, texts)
    scored = selector.score(index, tokens, token_mask, counts)
    chosen = selector.select(scored, counts, start)
    if start is None:
        chosen = selector.refine(index, chosen, counts)
    return Drawn(index=index, scored=scored, chosen=chosen, counts=counts)


def draw_batch(selector: NTLBGSelector, words: nn.Module, batch: Questions) -> Drawn:
    """A random draw for each question of a batch."""
    device = batch.start.device
    index = selector.prepare(*padded([row.features for row in batch.rows], device))
    counts = torch.tensor([row.count for row in batch.rows], device=device)
    return draw(selector, words, index, [row.words for row in batch.rows], counts, batch.start)


def gated_prompt(drawn: Drawn, rows: Sequence[Candidates], video_token: int) -> VideoPrompt:
    """The questions over their kept pairs, with the gate."""
    kept = [
        pairs[:count]
        for pairs, count in zip(drawn.chosen.pairs, drawn.counts.tolist(), strict=True)
    ]
    samples = [row.keep(pairs.cpu()) for row, pairs in zip(rows, kept, strict=True)]
    gates = zip(drawn.chosen.gate, kept, strict=True)
    gate = torch.cat([gate[: len(pairs)] for gate, pairs in gates])
    prompt = collate(samples, video_token).to(drawn.counts.device)
    return replace(prompt, gate=gate)


def selection_terms(
    selector: NTLBGSelector, words: nn.Module, batch: Questions, drawn: Drawn
) -> dict[str, Tensor]:
    """The loss terms that the config weighs, unweighted."""
    loss, mask = batch.config.training.loss, drawn.index.mask
    p, points = drawn.chosen.probabilities, drawn.index.points
    terms: dict[str, Tensor] = {}
    if loss.ntlbg_constraint > 0:
        scored = drawn.scored
        terms["ntlbg_constraint"] = losses.ntlbg_constraint(p, scored.distances, scored.level, mask)
    if loss.feature_alignment > 0:
        terms["feature_alignment"] = _alignment(selector, words, batch, drawn)
    if loss.temporal_coherence > 0:
        terms["temporal_coherence"] = losses.temporal_coherence(p, points, mask)
    if loss.information_preservation > 0:
        cells = drawn.chosen.cells
        terms["information_preservation"] = losses.information_preservation(p, points, cells, mask)
    if loss.diversity_regularization > 0:
        whitened = drawn.index.whitened()
        terms["diversity_regularization"] = losses.diversity_regularization(p, whitened, mask)
    if batch.teacher is not None:
        terms["distillation"] = losses.distillation(drawn.scored.scores, batch.teacher, mask)
    return terms


def _alignment(selector: NTLBGSelector, words: nn.Module, batch: Questions, drawn: Drawn) -> Tensor:
    p, points, mask = drawn.chosen.probabilities, drawn.index.points, drawn.index.mask
    share = (p / drawn.counts.unsqueeze(-1)).float().unsqueeze(-1)
    pooled = (share * drawn.index.whitened()).sum(1)
    own = selector.describe(*embedded(words, [row.words for row in batch.rows]))
    apart = [_described(selector, words, row.others, own) for row in batch.rows]
    others, there = padded(apart, own.device)
    loss = losses.feature_alignment(pooled, own, others, there)
    strategy = batch.config.model.feature_alignment
    if strategy == "statistical_distribution":
        return loss + losses.statistical_distribution(p, points, mask)
    if strategy == "structural_similarity":
        return loss + losses.structural_similarity(p, points, mask)
    return loss


def _described(
    selector: NTLBGSelector, words: nn.Module, texts: Sequence[Tensor], like: Tensor
) -> Tensor:
    if not texts:
        return like[:0]
    return selector.describe(*embedded(words, texts))
