"""Several questions about one video in one sequence: the video is read once.

Each question sees the video and itself, never another question, and stands at the positions it
would have alone, so the logits are those of separate prompts at a third of the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.positions import sparse_positions

GRID = (2, 2)
"""Language-model tokens of a 56 x 56 pair."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question as tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    answer: int
    category: str
    barred: tuple[int, ...] = ()
    """Tokens that do not compete in training: the held-out colours of the asked shape."""


@dataclass(frozen=True, kw_only=True)
class PackedVideo:
    """Some pairs of a video, and questions about it."""

    features: Tensor
    """[k, 4, hidden]"""
    pairs: Tensor
    """[k]"""
    asks: tuple[Ask, ...]


def packed_logits(
    model: Qwen2VLForConditionalGeneration, rows: Sequence[PackedVideo]
) -> tuple[Tensor, Tensor]:
    """Logits [questions, vocabulary] and right tokens [questions] of all rows, row after row.

    All rows have the same number of pairs and the same opening tokens.
    """
    before = rows[0].asks[0].before
    most = max(len(row.asks) for row in rows)
    length = max(len(ask.after) for row in rows for ask in row.asks)
    video = len(before) + rows[0].features.shape[0] * GRID[0] * GRID[1]
    total = video + most * length
    ids = torch.zeros(len(rows), total, dtype=torch.long)
    ids[:, : len(before)] = torch.tensor(before)
    where, right = [], []
    for row, packed in enumerate(rows):
        for place, ask in enumerate(packed.asks):
            start = video + place * length
            ids[row, start : start + len(ask.after)] = torch.tensor(ask.after)
            where.append((row, start + len(ask.after) - 1))
            right.append(ask.answer)
    embedded = model.get_input_embeddings()(ids).clone()
    embedded[:, len(before) : video] = torch.stack([row.features.flatten(0, 1) for row in rows])
    hidden = model.model.language_model(
        inputs_embeds=embedded,
        position_ids=torch.stack([_positions(len(before), r, most, length) for r in rows], 1),
        attention_mask=_mask(video, most, length).expand(len(rows), 1, total, total),
        use_cache=False,
    ).last_hidden_state
    at_row, at_column = torch.tensor(where).T
    logits: Tensor = model.lm_head(hidden[at_row, at_column])
    return logits, torch.tensor(right)


def _positions(before: int, row: PackedVideo, asks: int, length: int) -> Tensor:
    """[3, S]: every question resumes right after the video."""
    one = sparse_positions(before, row.pairs, GRID, length)
    return torch.cat((one, *[one[:, -length:]] * (asks - 1)), dim=1)


def _mask(video: int, asks: int, length: int) -> Tensor:
    """[S, S], true where a token may look: backwards, at the video or at its own question."""
    owner = torch.cat((torch.zeros(video), torch.arange(1, asks + 1).repeat_interleave(length)))
    causal = torch.ones(len(owner), len(owner), dtype=torch.bool).tril()
    return causal & ((owner[None, :] == 0) | (owner[None, :] == owner[:, None]))
