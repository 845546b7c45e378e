"""Training the reader on a balanced mixture of selections, and the selector from its answers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import SelectionConfig
from ntlbg_model.selection.selector import NTLBGSelector, Scored
from quality.footage import Ask, Clip
from quality.methods import Select, Similarity, embed, oracle_pairs
from quality.reader import Batch, Reader, loss_of, pad, pooled

SELECTOR = SelectionConfig(
    query="learned",
    constraint_type="soft_equicontour",
    contour="learned",
    rank=32,
    query_rank=16,
    min_prominence=1.5,
    suppress_secondary_peaks=0.4,
    empty_cell_policy="typical",
)
"""Chosen, as the selector's training was, on other videos than the test's: docs/findings.md."""
WHOLE = 0.06
SHOWN = 0.5
"""Shares of the reader's training batches: whole videos, and oracle selections."""


@dataclass(frozen=True)
class CacheEntry:
    """A question with its clip."""

    clip: Clip
    ask: Ask


class Batches:
    """Questions and selections as tensors; text is embedded once."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._texts: dict[str, Tensor] = {}
        self._features: dict[str, Tensor] = {}

    def text(self, text: str) -> Tensor:
        """[S, d]"""
        if text not in self._texts:
            self._texts[text] = embed(self._backbone, [text])[0]
        return self._texts[text]

    def features(self, clip: Clip) -> Tensor:
        """[P, 2 d]"""
        if clip.video_id not in self._features:
            self._features[clip.video_id] = pooled(clip.tokens).half()
        return self._features[clip.video_id]

    def batch(self, items: Sequence[CacheEntry], chosen: Sequence[Tensor]) -> Batch:
        """Questions with the pairs chosen for each."""
        rows = [item.clip.tokens[pairs] for item, pairs in zip(items, chosen, strict=True)]
        tokens, mask = pad(rows)
        places, _ = pad(list(chosen))
        return Batch(
            tokens=tokens.float(),
            places=places,
            mask=mask,
            words=pad([self.text(item.ask.text) for item in items])[0],
            options=torch.stack(
                [torch.cat([self.text(o)[:1] for o in item.ask.options]) for item in items]
            ),
            answers=torch.tensor([item.ask.answer for item in items]),
        )


def items_of(clips: Sequence[Clip]) -> list[CacheEntry]:
    """Every question of every clip."""
    return [CacheEntry(clip, ask) for clip in clips for ask in clip.asks]


def choices(
    items: Sequence[CacheEntry], methods: dict[str, Select], budgets: Sequence[int]
) -> dict[str, list[Tensor]]:
    """Each method's pairs for each item, at one of the budgets at random."""
    rng = random.Random(0)
    return {
        name: [select(item.clip, item.ask, rng.choice(budgets)) for item in items]
        for name, select in methods.items()
    }


def train_reader(
    batches: Batches,
    clips: Sequence[Clip],
    chosen: dict[str, list[Tensor]],
    budgets: Sequence[int],
    *,
    seed: int,
    steps: int,
    batch: int = 64,
    learning_rate: float = 1e-3,
) -> Reader:
    """A reader trained half on what shows the answer, half on every compared selection in equal
    parts, with some whole videos."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    items = items_of(clips)
    reader = Reader(clips[0].tokens.shape[-1])
    optimizer = torch.optim.AdamW(reader.parameters(), lr=learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for _ in range(steps):
        places = [rng.randrange(len(items)) for _ in range(batch)]
        pairs = _mixed(items, places, chosen, budgets, rng)
        loss = loss_of(reader, batches.batch([items[place] for place in places], pairs))
        _step(loss, reader, optimizer, schedule)
    return reader.eval().requires_grad_(False)


def _mixed(
    items: Sequence[CacheEntry],
    places: Sequence[int],
    chosen: dict[str, list[Tensor]],
    budgets: Sequence[int],
    rng: random.Random,
) -> list[Tensor]:
    """Pairs for one batch, all by one selection."""
    draw = rng.random()
    if draw < WHOLE:
        return [torch.arange(len(items[place].clip.tokens)) for place in places]
    if draw < WHOLE + SHOWN:
        count = rng.choice(budgets)
        return [oracle_pairs(items[place].clip, items[place].ask, count) for place in places]
    rows = chosen[rng.choice(sorted(chosen))]
    return [rows[place] for place in places]


def _step(
    loss: Tensor,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
    schedule.step()


class Learned:
    """The learned selector as a method."""

    def __init__(self, selector: NTLBGSelector, batches: Batches, similarity: Similarity) -> None:
        self._selector, self._batches, self._similarity = selector, batches, similarity

    @torch.no_grad()
    def __call__(self, clip: Clip, ask: Ask, count: int) -> Tensor:
        """Pairs [count], ascending."""
        against = self._similarity(clip, ask.text).unsqueeze(0)
        scored = scored_rows(self._selector, self._batches, [CacheEntry(clip, ask)], count, against)
        return self._selector.select(scored, count).pairs[0]


def scored_rows(
    selector: NTLBGSelector,
    batches: Batches,
    items: Sequence[CacheEntry],
    count: int,
    against: Tensor,
) -> Scored:
    """Scores of every pair of each item's clip (equally long clips), `against` [B, P] being the
    similarity to the question."""
    index = selector.prepare(torch.stack([batches.features(item.clip).float() for item in items]))
    tokens, mask = pad([batches.text(item.ask.text) for item in items])
    return selector.score(index, tokens, mask, count, against)


def train_selector(
    batches: Batches,
    reader: Reader,
    similarity: Similarity,
    clips: Sequence[Clip],
    *,
    seed: int,
    steps: int,
    batch: int = 32,
    learning_rate: float = 3e-3,
) -> NTLBGSelector:
    """Distillation of what in whole videos raised the reader's right answers.

    `clips` are none that the reader learned from, so that its answers are as unsure as they will
    be.
    """
    torch.manual_seed(seed)
    rng = random.Random(seed)
    items = items_of(clips)
    teacher = _relevance(batches, reader, items)
    against = [similarity(item.clip, item.ask.text) for item in items]
    width = batches.features(clips[0]).shape[-1]
    selector = NTLBGSelector(SELECTOR, width, batches.text("what").shape[-1], 128)
    optimizer = torch.optim.AdamW(selector.parameters(), lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    for _ in range(steps):
        places = [rng.randrange(len(items)) for _ in range(batch)]
        asked = torch.stack([against[place] for place in places])
        scored = scored_rows(selector, batches, [items[place] for place in places], 1, asked)
        log_share = (scored.scores / SELECTOR.temperature).log_softmax(-1)
        loss = -(teacher[places] * log_share).sum(-1).mean()
        _step(loss, selector, optimizer, schedule)
    return selector.eval().requires_grad_(False)


def _relevance(batches: Batches, reader: Reader, items: Sequence[CacheEntry]) -> Tensor:
    """Share [items, P] of each pair of a whole video in what spoke for the right answer.

    It is the gradient of the answer's log-probability with respect to the attention logit of the
    pair, where positive: what the reader looked at and was misled by has no share, as it would have
    in the attention itself. The attention stands in where nothing spoke for the answer.
    """
    rows = []
    for start in range(0, len(items), 32):
        part = items[start : start + 32]
        whole = batches.batch(part, [torch.arange(len(item.clip.tokens)) for item in part])
        gate = torch.zeros(whole.mask.shape, requires_grad=True)
        logits, attention = reader(replace(whole, gate=gate))
        right = functional.cross_entropy(logits, whole.answers, reduction="sum").neg()
        (raised,) = torch.autograd.grad(right, gate)
        spoke = raised.clamp(min=0)
        total = spoke.sum(-1, keepdim=True)
        rows.append(torch.where(total > 1e-6, spoke / total.clamp(min=1e-6), attention.detach()))
    return torch.cat(rows)
