"""What the tiny base's language model is trained on: videos as features, questions, selections."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.config import SelectionConfig
from ntlbg_model.data.needles.plan import VideoPlan
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.vocabulary import (
    ATTRIBUTE,
    COUNT_ALL,
    COUNT_SHAPE,
    HELD_OUT,
    NUMBERS,
    ORDER,
    SHAPES,
)
from ntlbg_model.selection import baselines
from ntlbg_model.selection.features import pair_features
from ntlbg_model.selection.select import select_pairs
from ntlbg_model.tiny_base.packing import Ask, PackedVideo

SELECTIONS = ("oracle", "uniform", "random", "ntlbg", "median_contour")
"""Frame selections that training mixes in equal parts, so that the base favours none."""


@dataclass(frozen=True, kw_only=True)
class Flash:
    """One flash: what, and in which pairs."""

    shape: str
    colour: str
    pairs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingVideo:
    """A video as the frozen tower sees it."""

    features: Tensor
    """Half precision [P, 4, hidden]."""
    flashes: tuple[Flash, ...]
    asks: tuple[Ask, ...]
    chosen: dict[str, Tensor]
    """Pairs of the selections that look at the frames."""


class Asker:
    """Turns question texts into tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        template = "<|vision_start|>", "<|vision_end|>{} answer"
        self._before = tuple(tokenizer.encode(template[0], add_special_tokens=False))
        self._after = template[1]

    def ask(self, category: str, text: str, answer: str) -> Ask:
        """The same tokens that `build_prompt` makes.

        Where a colour is asked for, the asked shape's held-out colours are barred: otherwise
        training would teach that they never are the answer.
        """
        held_out = [c for s, c in HELD_OUT if category == "attribute" and s in text.split()]
        return Ask(
            before=self._before,
            after=tuple(self._tokenizer.encode(self._after.format(text), add_special_tokens=False)),
            answer=int(self._tokenizer.convert_tokens_to_ids(answer)),
            category=category,
            barred=tuple(self._tokenizer.convert_tokens_to_ids(sorted(held_out))),
        )


def training_video(
    plan: VideoPlan,
    pairs: Tensor,
    visual: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    kept: int,
) -> TrainingVideo:
    """A video with all that training needs of it: `pairs` are its frames [P, 2, h, w, 3].

    The selections that look at frames are computed for `kept` pairs.
    """
    thumbnails = pair_features(pairs.flatten(0, 1))
    asker = Asker(tokenizer)
    return TrainingVideo(
        features=vision_features(visual, pairs).half(),
        flashes=tuple(
            Flash(
                shape=needle.shape,
                colour=needle.colour,
                pairs=tuple(sorted({frame // 2 for frame in needle.frames})),
            )
            for needle in plan.needles
        ),
        asks=tuple(
            asker.ask(q.category, q.question, q.candidates[q.answer or 0]) for q in questions(plan)
        ),
        chosen={
            "ntlbg": select_pairs(thumbnails, kept, SelectionConfig(method="ntlbg"), 0).pairs,
            "median_contour": select_pairs(
                thumbnails, kept, SelectionConfig(method="median_contour"), 0
            ).pairs,
        },
    )


def selected(video: TrainingVideo, selection: str, kept: int, seed: int) -> Tensor:
    """Pairs [kept] of one of `SELECTIONS`; oracle is every flash, filled up evenly."""
    pairs = video.features.shape[0]
    if selection == "uniform":
        return baselines.uniform(pairs, kept)
    if selection == "random":
        return baselines.random(pairs, kept, seed)
    if selection == "oracle":
        return oracle(video.flashes, pairs, kept)
    return video.chosen[selection]


def oracle(flashes: Sequence[Flash], pairs: int, kept: int) -> Tensor:
    """Every pair with a flash, and evenly spaced pairs up to `kept` (at least one)."""
    shown = sorted({pair for flash in flashes for pair in flash.pairs})[: kept - 1]
    others = [pair for pair in range(pairs) if pair not in set(shown)]
    filler = [others[int(i)] for i in baselines.uniform(len(others), kept - len(shown))]
    return torch.tensor(sorted([*shown, *filler]))


def whole(video: TrainingVideo, kept: int, rng: random.Random) -> PackedVideo:
    """The video's own questions over one of the selections."""
    pairs = selected(video, rng.choice(SELECTIONS), kept, rng.getrandbits(62))
    return _packed(video, pairs, video.asks)


def excerpt(video: TrainingVideo, kept: int, asker: Asker, rng: random.Random) -> PackedVideo:
    """Some flashes among ordinary pairs, and questions that are true of what is shown."""
    flashes = list(video.flashes)
    rng.shuffle(flashes)
    shown: list[Flash] = []
    room = kept
    for flash in flashes[: rng.randint(1, len(flashes))]:
        if len(flash.pairs) <= room:
            shown.append(flash)
            room -= len(flash.pairs)
    if not shown:
        pick = flashes[0]
        shown = [Flash(shape=pick.shape, colour=pick.colour, pairs=pick.pairs[:kept])]
    busy = {pair for flash in video.flashes for pair in flash.pairs}
    quiet = [pair for pair in range(video.features.shape[0]) if pair not in busy]
    taken = [pair for flash in shown for pair in flash.pairs]
    pairs = sorted([*taken, *rng.sample(quiet, kept - len(taken))])
    shown.sort(key=lambda flash: flash.pairs)
    return _packed(video, torch.tensor(pairs), tuple(_true_of(shown, kept, asker, rng)))


def _true_of(shown: list[Flash], kept: int, asker: Asker, rng: random.Random) -> list[Ask]:
    colours = {flash.shape: flash.colour for flash in shown}
    shapes = [flash.shape for flash in shown]
    picked = rng.sample(sorted(colours), min(3, len(colours)))
    asks = [asker.ask("attribute", ATTRIBUTE.format(shape=s), colours[s]) for s in picked]
    if kept < MIXED_FROM:
        return asks[:1]
    counted = rng.choice(SHAPES)
    asks.append(
        asker.ask(
            "count", COUNT_SHAPE.format(shape=counted), NUMBERS[min(shapes.count(counted), 4)]
        )
    )
    asks.append(asker.ask("count", COUNT_ALL, NUMBERS[len(shown)]))
    unique = [i for i in range(len(shown) - 1) if shapes.count(shapes[i]) == 1]
    if unique:
        first = rng.choice(unique)
        asks.append(asker.ask("order", ORDER.format(shape=shapes[first]), shapes[first + 1]))
    return asks


MIXED_FROM = 8
"""Pairs from which excerpts ask more than colours."""


def _packed(video: TrainingVideo, pairs: Tensor, asks: tuple[Ask, ...]) -> PackedVideo:
    return PackedVideo(features=video.features[pairs].float(), pairs=pairs, asks=asks)
