"""A compact reader: answers questions from the frame pairs it is given, in milliseconds.

It reads in the space that the vision tower and the language model share, where a token of a frame
lies near the words for what it shows. Hop one attends to tokens by the question, hop two by the
question and what was read, with relative time; soft counts sum over pairs. It is trained on a
balanced mixture of all compared selections and then frozen, the plug-in protocol of AKS, BOLT and
Q-Frame, so that answers differ by what was selected alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

HEADS = 4
BUMPS = 16


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Questions with the pairs selected for each."""

    tokens: Tensor
    """[B, K, n, d], merged tokens of the kept pairs; zeros where padded."""
    places: Tensor
    """[B, K], index of the pair among the video's."""
    mask: Tensor
    """[B, K], false where padded."""
    words: Tensor
    """[B, S, d], word embeddings of the question; zeros where padded."""
    options: Tensor
    """[B, 5, d], word embeddings of the options."""
    answers: Tensor
    """[B]"""
    gate: Tensor | None = None
    """[B, K], zero in value: gradient of the log-probability that the pair was drawn."""


class Reader(nn.Module):
    """Scores the options of each question."""

    def __init__(self, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(width)
        self.word_norm = nn.LayerNorm(width)
        self.weigh = nn.Linear(width, HEADS)
        self.kind = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU())
        self.first = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.follow = nn.Linear(hidden + HEADS * width, HEADS * width)
        self.when = nn.Linear(hidden, HEADS * BUMPS)
        self.counted = nn.Linear(hidden + HEADS * width, HEADS * width)
        self.repeat = nn.Parameter(torch.zeros(HEADS))
        self.sharpness = nn.Parameter(torch.full((3, HEADS), 1.0))
        self.threshold = nn.Parameter(torch.zeros(HEADS))
        self.mix = nn.Linear(hidden, 2 * HEADS)
        self.value = nn.Linear(width, width)
        self.out = nn.Sequential(
            nn.Linear(hidden + 2 * HEADS, hidden), nn.GELU(), nn.Linear(hidden, width)
        )
        with torch.no_grad():
            for layer in (self.first, self.key, self.value):
                layer.weight.copy_(torch.eye(width))
                layer.bias.zero_()

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Option logits [B, 5], and the attention [B, K] that the answer was read with: each head's
        by its share in the value that is compared with the options."""
        tokens = self.token_norm(batch.tokens)
        present = batch.words.abs().sum(-1) > 0
        words = self.word_norm(batch.words)
        weights = self.weigh(words).masked_fill(~present.unsqueeze(-1), -torch.inf).softmax(1)
        asked = torch.einsum("bsh,bsd->bhd", weights, words)
        average = (words * present.unsqueeze(-1)).sum(1) / present.sum(1, keepdim=True)
        kind = self.kind(torch.cat((asked[:, 0], average), dim=-1))
        keys = self.key(tokens)
        first = self._attend(self.first(asked), keys, batch, 0)
        seen = torch.einsum("bhkn,bknd->bhd", first, tokens)
        context = torch.cat((kind, seen.flatten(1)), dim=-1)
        moment = (first.sum(-1).mean(1) * batch.places).sum(-1, keepdim=True)
        bias = self._relative(kind, batch.places - moment)
        second = self._attend(self.follow(context).view_as(asked) + asked, keys, batch, 1, bias)
        read = torch.einsum("bhkn,bknd->bhd", second, tokens)
        gates = self._gates(
            self.counted(torch.cat((kind, asked.flatten(1)), -1)).view_as(asked) + asked,
            keys,
            batch,
        )
        totals = gates.sum(-1)
        share = self.mix(kind).softmax(-1)
        mixed = torch.einsum("bh,bhd->bd", share * HEADS, torch.cat((seen, read), dim=1))
        told = self.out(torch.cat((kind, totals, (totals + 1).log()), dim=-1))
        logits = torch.einsum("bow,bw->bo", batch.options, self.value(mixed) + told)
        hops = torch.cat((first.sum(-1), second.sum(-1)), dim=1)
        return logits, torch.einsum("bh,bhk->bk", share, hops)

    def _attend(
        self, keys: Tensor, tokens: Tensor, batch: Batch, hop: int, bias: Tensor | None = None
    ) -> Tensor:
        """Weights [B, H, K, n] over all tokens of the kept pairs."""
        logits = torch.einsum("bhd,bknd->bhkn", keys, tokens) / math.sqrt(keys.shape[-1])
        logits = logits * self.sharpness[hop].view(1, -1, 1, 1)
        if bias is not None:
            logits = logits + bias.unsqueeze(-1)
        if batch.gate is not None:
            logits = logits + batch.gate.view(len(logits), 1, -1, 1)
        logits = logits.masked_fill(~batch.mask.view(len(logits), 1, -1, 1), -torch.inf)
        return logits.flatten(2).softmax(-1).view_as(logits)

    def _relative(self, kind: Tensor, offsets: Tensor) -> Tensor:
        """Bias [B, H, K] by signed log distance in time from the first hop's moment."""
        signed = offsets.sign() * offsets.abs().log1p()
        centres = torch.linspace(-6, 6, BUMPS)
        bumps = (-(signed.unsqueeze(-1) - centres).square()).exp()
        weights = self.when(kind).view(-1, HEADS, BUMPS)
        return torch.einsum("bhf,bkf->bhk", weights, bumps)

    def _gates(self, keys: Tensor, tokens: Tensor, batch: Batch) -> Tensor:
        """Soft membership [B, H, K]; a pair that continues the one before it counts less."""
        logits = torch.einsum("bhd,bknd->bhkn", keys, tokens) / math.sqrt(keys.shape[-1])
        logits = logits.amax(-1) * self.sharpness[2].view(1, -1, 1) - self.threshold.view(1, -1, 1)
        gates = logits.sigmoid() * batch.mask.unsqueeze(1)
        if batch.gate is not None:
            gates = gates * (1 + batch.gate.unsqueeze(1))
        adjacent = functional.pad((batch.places.diff(dim=1) == 1).float(), (1, 0))
        before = functional.pad(gates[..., :-1], (1, 0)) * adjacent.unsqueeze(1)
        return gates * (1 - self.repeat.sigmoid().view(1, -1, 1) * before)


def loss_of(reader: Reader, batch: Batch) -> Tensor:
    """Cross-entropy among the options offered."""
    logits, _ = reader(batch)
    return functional.cross_entropy(logits, batch.answers)


def pooled(tokens: Tensor) -> Tensor:
    """Features [..., 2 d] of pairs' tokens [..., n, d]: their mean and their maximum."""
    wide = tokens.float()
    return torch.cat((wide.mean(-2), wide.amax(-2)), dim=-1)


def pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows [k_i, ...] as [B, K, ...] with their mask."""
    padded = nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    return padded, torch.arange(padded.shape[1]) < lengths.unsqueeze(1)
