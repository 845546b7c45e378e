"""Stage 0: the vision tower learns to say, in the language model's own words, what a pair shows.

Merged tokens are scored against the word embeddings of shapes, colours and backgrounds: first on
crops around the flash, then on whole frames, where the token nearest to the flash answers for it.
The tower is frozen afterwards. Asked of every token of whole frames from the start, shapes are not
learned in ten times the steps.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.data.needles.plan import VideoPlan
from ntlbg_model.data.needles.vocabulary import BACKGROUNDS, COLOURS, HELD_OUT, SHAPES
from ntlbg_model.tiny_base.architecture import NOTHING, RESOLUTION
from ntlbg_model.tiny_base.footage import degrade, flash_centres, frame_pairs, pair_words
from ntlbg_model.tiny_base.schedule import StageOptimizer

GROUPS = ((*SHAPES, NOTHING), (*COLOURS, NOTHING), tuple(BACKGROUNDS))
"""The words that compete with each other."""
NO_FLASH = len(SHAPES)
"""Place of 'nothing' among shapes and among colours."""

ORDINARY = 5
"""Pairs without a flash that are rendered of each video."""
FLASHING = 0.85
"""Share of drawn pairs with a flash."""
GREY = 0.5
"""Share of drawn pairs shown without colour, and asked only for the shape: a shape must not be
recognised by the colours that it has in training."""

CROP = 28
"""Pixels a side of a crop: one merged token."""
JITTER = 5
"""Most pixels between the middle of a crop and that of its flash."""
FAR = 27
"""Pixels from a token's middle beyond which a flash is none of its business."""

SCALE = 4.0
"""Multiplies the scores; embeddings start small."""
IGNORE = -100


@dataclass(frozen=True, kw_only=True)
class LabelledPairs:
    """Pairs with what they show."""

    pixels: Tensor
    """uint8 [k, 2, h, w, 3]"""
    words: Tensor
    """[k, 3], place of the right word in each of `GROUPS`, or IGNORE."""
    centres: Tensor
    """[k, 2], where the flash is."""


def labelled_pairs(plans: Sequence[VideoPlan], seed: int) -> LabelledPairs:
    """Every pair with a flash, and some ordinary ones, of all the videos."""
    rng = random.Random(seed)  # nosec B311 # draws of an experiment
    pixels, words, centres = [], [], []
    for plan in plans:
        shown = torch.tensor([_places(row) for row in pair_words(plan)])
        flashing = (shown[:, 0] != NO_FLASH).nonzero()[:, 0].tolist()
        ordinary = (shown[:, 0] == NO_FLASH).nonzero()[:, 0].tolist()
        chosen = [*flashing, *rng.sample(ordinary, ORDINARY)]
        pixels.append(frame_pairs(plan, chosen))
        words.append(shown[chosen])
        centres.append(flash_centres(plan)[chosen])
    return LabelledPairs(
        pixels=torch.cat(pixels), words=torch.cat(words), centres=torch.cat(centres)
    )


def train_vision(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    pool: LabelledPairs,
    steps: tuple[int, int],
    generator: torch.Generator,
    report: Callable[[str], None],
) -> None:
    """Train the tower and the word embeddings on `steps` of crops and of frames; freeze it."""
    embedding = model.get_input_embeddings().weight
    for part, size, prepare in ((0, 256, crops), (1, 128, lambda pairs, _: pairs)):
        optimizer = StageOptimizer([*model.model.visual.parameters(), embedding], steps[part])
        for step in range(steps[part]):
            pairs = prepare(draw(pool, size, generator), generator)
            features = vision_features(model.model.visual, pairs.pixels)
            scores = without_held_out(word_scores(features, embedding, tokenizer), pairs.words)
            losses = [
                functional.cross_entropy(of_group.flatten(0, 1), labels.flatten())
                for of_group, labels in zip(scores, token_labels(pairs), strict=True)
            ]
            loss = optimizer.step(torch.stack(losses).sum())
            if step % 50 == 0 or step == steps[part] - 1:
                right = " ".join(f"{r:.3f}" for r in right_words(scores, pairs))
                report(f"vision {('crops', 'frames')[part]} {step} loss {loss:.3f} right {right}")
    model.model.visual.requires_grad_(False)


def draw(pool: LabelledPairs, count: int, generator: torch.Generator) -> LabelledPairs:
    """A degraded batch, half of it grey."""
    flashing = pool.words[:, 0] != NO_FLASH
    chosen = torch.cat(
        [
            rows[torch.randint(len(rows), (number,), generator=generator)]
            for rows, number in (
                (flashing.nonzero()[:, 0], int(count * FLASHING)),
                ((~flashing).nonzero()[:, 0], count - int(count * FLASHING)),
            )
        ]
    )[torch.randperm(count, generator=generator)]
    pixels = torch.cat([degrade(part, generator) for part in torch.split(pool.pixels[chosen], 32)])
    words = pool.words[chosen].clone()
    grey = int(count * GREY)
    gains = 0.6 + 0.8 * torch.rand(grey, 1, 1, 1, 1, generator=generator)
    faded = pixels[:grey].float().mean(dim=4, keepdim=True) * gains
    pixels[:grey] = faded.clamp(0, 255).to(torch.uint8)
    words[:grey, 1:] = IGNORE
    return LabelledPairs(pixels=pixels, words=words, centres=pool.centres[chosen])


def crops(pairs: LabelledPairs, generator: torch.Generator) -> LabelledPairs:
    """28 x 28 pixels around each flash."""
    offsets = torch.randint(-JITTER, JITTER + 1, pairs.centres.shape, generator=generator)
    corners = (pairs.centres - CROP // 2 + offsets).clamp(0, RESOLUTION - CROP)
    cut = [
        pair[:, top : top + CROP, left : left + CROP]
        for pair, (top, left) in zip(pairs.pixels, corners.tolist(), strict=True)
    ]
    middle = torch.full_like(pairs.centres, CROP // 2)
    return LabelledPairs(pixels=torch.stack(cut), words=pairs.words, centres=middle)


def word_scores(
    features: Tensor, embedding: Tensor, tokenizer: PreTrainedTokenizerBase
) -> list[Tensor]:
    """Scores [pairs, tokens, words] of each group of competing words."""
    ids = [tokenizer.convert_tokens_to_ids(list(words)) for words in GROUPS]
    return [SCALE * features @ embedding[rows].T for rows in ids]


def without_held_out(scores: Sequence[Tensor], words: Tensor) -> list[Tensor]:
    """The same scores, where looks that are held out of training do not compete.

    A red star is never shown; were 'star' to lose against the right shape on every red pair, the
    tower would learn that nothing red is a star, and read held-out looks worse than none.
    """
    shape, colour = words[:, 0], words[:, 1]
    known = (colour != IGNORE) & (shape != NO_FLASH)
    looks = torch.tensor([[(s, c) in HELD_OUT for c in GROUPS[1]] for s in GROUPS[0]])
    barred_shapes = looks[:, colour.clamp(min=0)].T & known[:, None]
    barred_colours = looks[shape] & known[:, None]
    shapes, colours, backgrounds = scores
    return [
        shapes.masked_fill(barred_shapes[:, None], -torch.inf),
        colours.masked_fill(barred_colours[:, None], -torch.inf),
        backgrounds,
    ]


def token_labels(pairs: LabelledPairs) -> list[Tensor]:
    """Labels [pairs, tokens] of each group.

    The background is every token's. A flash is the nearest token's, and nothing to those far
    from it; tokens between the two are not asked.
    """
    middles = _token_middles(pairs.pixels.shape[2])
    distance = (pairs.centres[:, None] - middles).abs().amax(dim=2)
    nearest = distance == distance.amin(dim=1, keepdim=True)
    labels = []
    for group in range(len(GROUPS)):
        word = pairs.words[:, [group]].expand(-1, len(middles))
        if group < 2:
            asked = (pairs.words[:, [0]] == NO_FLASH) | nearest | (word == IGNORE)
            elsewhere = torch.where(distance > FAR, NO_FLASH, IGNORE)
            word = torch.where(asked, word, elsewhere)
        labels.append(word)
    return labels


def right_words(scores: Sequence[Tensor], pairs: LabelledPairs) -> list[float]:
    """Share of the labelled flashes whose nearest token names shape, colour, background."""
    middles = _token_middles(pairs.pixels.shape[2])
    nearest = (pairs.centres[:, None] - middles).abs().amax(dim=2).argmin(dim=1)
    rows = torch.arange(len(nearest))
    shares = []
    for group, of_group in enumerate(scores):
        asked = (pairs.words[:, 0] != NO_FLASH) & (pairs.words[:, group] != IGNORE)
        right = of_group[rows, nearest].argmax(dim=1) == pairs.words[:, group]
        shares.append(float(right[asked].float().mean()))
    return shares


def _token_middles(side: int) -> Tensor:
    """Row and column [tokens, 2] of each merged token's middle in a frame of `side` pixels."""
    middles = torch.arange(CROP // 2, side, CROP)
    return torch.cartesian_prod(middles, middles)


def _places(words: tuple[str, str, str]) -> list[int]:
    return [group.index(word) for group, word in zip(GROUPS, words, strict=True)]
