"""Every compared selection on a clip and a question, at one budget of pairs."""

from collections.abc import Callable

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import SelectionConfig, SelectionMethod
from ntlbg_model.selection.baselines import uniform
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.selection.word_match import best_word, word_vectors
from ntlbg_model.tiny_base.examples import Flash, oracle
from quality.footage import Ask, Clip
from quality.reader import pooled

BASELINES: tuple[SelectionMethod, ...] = (
    "uniform",
    "random",
    "clip_topk",
    "bolt",
    "aks",
    "q_frame",
    "dpp",
    "kmeans",
    "farthest_point",
    "median_contour",
)
TRAINING_FREE = "ntlbg"
LEARNED = "ntlbg_learned"
ORACLE = "oracle"

Select = Callable[[Clip, Ask, int], Tensor]
"""Pairs [K], ascending, of a clip for a question."""


class Similarity:
    """Similarity of every pair to a question, by the backbone's own word embeddings."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._words: dict[str, Tensor] = {}

    def __call__(self, clip: Clip, text: str) -> Tensor:
        """[P]"""
        if text not in self._words:
            self._words[text] = word_vectors(self._backbone, text)
        return best_word(clip.tokens, self._words[text])


def fixed_methods(similarity: Similarity, seed: int) -> dict[str, Select]:
    """The baselines, training-free NTLBG and the oracle, by name."""
    methods: dict[str, Select] = {
        name: _published(name, similarity, seed) for name in (*BASELINES, TRAINING_FREE)
    }
    methods[ORACLE] = lambda clip, ask, count: oracle_pairs(clip, ask, count)
    return methods


def _published(name: str, similarity: Similarity, seed: int) -> Select:
    config = SelectionConfig(method=name)  # type: ignore[arg-type]

    def select(clip: Clip, ask: Ask, count: int) -> Tensor:
        looks = name in (TRAINING_FREE, "median_contour")
        features = clip.pixels if looks else pooled(clip.tokens)
        against = similarity(clip, ask.text) if config.compares_with_question else None
        return select_pairs(features, count, config, seed, against).pairs

    return select


def oracle_pairs(clip: Clip, ask: Ask, count: int) -> Tensor:
    """Every flash of the clip, filled up evenly; for questions about the whole video, evenly
    spaced pairs alone."""
    pairs = clip.tokens.shape[0]
    if not ask.gold and ask.category == "global":
        return uniform(pairs, count)
    flashes = [Flash(shape="", colour="", pairs=flash) for flash in clip.flashes]
    wanted = [Flash(shape="", colour="", pairs=moment) for moment in ask.gold]
    shown = {pair for flash in wanted for pair in flash.pairs}
    others = [flash for flash in flashes if not shown & set(flash.pairs)]
    room = count - 1 - len(shown)
    for flash in others:
        if len(flash.pairs) <= room:
            wanted.append(flash)
            room -= len(flash.pairs)
    return oracle(wanted, pairs, count)


def recall(ask: Ask, pairs: Tensor) -> float | None:
    """Share of the moments the answer depends on of which a pair is kept."""
    if not ask.gold:
        return None
    kept = set(pairs.tolist())
    return sum(not kept.isdisjoint(moment) for moment in ask.gold) / len(ask.gold)


def embed(backbone: Backbone, texts: list[str]) -> list[Tensor]:
    """Word embeddings [S, d] of each text, from the language model's own table."""
    table = backbone.base.get_input_embeddings().weight.detach().float()
    return [
        table[torch.tensor(backbone.tokenizer.encode(text, add_special_tokens=False))]
        for text in texts
    ]
