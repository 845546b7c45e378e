"""Stages 1 to 3: the language model learns to answer from 1, then 8, then 32 pairs."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor
from transformers import Qwen2VLForConditionalGeneration

from ntlbg_model.tiny_base.examples import Asker, TrainingVideo, excerpt, whole
from ntlbg_model.tiny_base.packing import PackedVideo, packed_logits
from ntlbg_model.tiny_base.schedule import StageOptimizer


@dataclass(frozen=True, kw_only=True)
class ReaderStage:
    """A part of the curriculum."""

    steps: int
    videos: int
    """Videos a step."""
    pairs: tuple[int, ...]
    """Numbers of pairs, one drawn for each step."""
    excerpts: float
    """Share of steps on excerpts; the others ask the videos' own questions."""
    rate: float = 1e-3


def train_reader(
    model: Qwen2VLForConditionalGeneration,
    videos: Sequence[TrainingVideo],
    asker: Asker,
    stage: ReaderStage,
    seed: int,
    report: Callable[[str], None],
) -> None:
    """Train the language model and its embeddings through one stage."""
    rng = random.Random(seed)  # nosec B311 # draws of an experiment
    model.model.language_model.train()
    parameters = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    optimizer = StageOptimizer(parameters, stage.steps, stage.rate)
    tally: dict[str, list[float]] = defaultdict(list)
    for step in range(1, stage.steps + 1):
        kept = rng.choice(stage.pairs)
        drawn = rng.sample(videos, stage.videos)
        cut = rng.random() < stage.excerpts
        rows = [
            excerpt(video, kept, asker, rng) if cut else whole(video, kept, rng) for video in drawn
        ]
        logits, right = packed_logits(model, rows)
        logits = logits.masked_fill(_barred(rows, logits), -torch.inf)
        loss = optimizer.step(functional.cross_entropy(logits, right))
        hits = (logits.argmax(1) == right).tolist()
        for ask, hit in zip((ask for row in rows for ask in row.asks), hits, strict=True):
            tally[ask.category if cut else f"whole {ask.category}"].append(hit)
        if step % 25 == 0 or step == stage.steps:
            means = {name: sum(part) / len(part) for name, part in sorted(tally.items())}
            report(
                f"step {step} loss {loss:.3f} " + str({k: round(v, 3) for k, v in means.items()})
            )
            tally.clear()
    model.eval()


def _barred(rows: Sequence[PackedVideo], logits: Tensor) -> Tensor:
    """Where a question's barred tokens are among `logits` [questions, vocabulary]."""
    barred = torch.zeros_like(logits, dtype=torch.bool)
    for number, ask in enumerate(ask for row in rows for ask in row.asks):
        barred[number, list(ask.barred)] = True
    return barred
