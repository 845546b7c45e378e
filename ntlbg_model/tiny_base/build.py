"""`python -m ntlbg_model.tiny_base.build`: make the tiny base model from nothing but a seed."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from ntlbg_model.backbone.model import TINY
from ntlbg_model.backbone.vision import use_batched_attention
from ntlbg_model.data.needles.plan import NeedlesSpec, Split
from ntlbg_model.tiny_base import architecture
from ntlbg_model.tiny_base.card import write_card
from ntlbg_model.tiny_base.examples import Asker, TrainingVideo, training_video
from ntlbg_model.tiny_base.footage import degrade, frame_pairs, training_plan, with_glitches
from ntlbg_model.tiny_base.measure import measure
from ntlbg_model.tiny_base.reader_stage import ReaderStage, train_reader
from ntlbg_model.tiny_base.vision_stage import labelled_pairs, train_vision

KEPT = 32
"""Pairs kept of the 256 of a 512-frame video in the last stage."""

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BuildRecipe:
    """Sizes of the build. Steps, not minutes, so that the same seed gives the same weights."""

    pool_videos: int = 900
    """Videos whose flashes the vision tower learns from."""
    vision_steps: tuple[int, int] = (150, 800)
    """Steps on crops, and on whole frames."""
    reader_videos: int = 500
    """Videos, of those, that the language model is asked about."""
    stages: tuple[ReaderStage, ...] = (
        ReaderStage(steps=250, videos=48, pairs=(1, 2, 4), excerpts=1.0),
        ReaderStage(steps=1000, videos=16, pairs=(8, 16), excerpts=1.0),
        ReaderStage(steps=900, videos=12, pairs=(KEPT,), excerpts=0.25),
    )
    held_out_videos: int = 100
    """Videos of each held-out set that the card's figures come from."""


def build(seed: int, recipe: BuildRecipe, out: Path, report: Report) -> None:
    """Train the base from scratch and write checkpoint, tokenizer and card to `out`."""
    started = time.monotonic()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    tokenizer = architecture.tokenizer()
    model = Qwen2VLForConditionalGeneration(architecture.config(tokenizer))
    use_batched_attention(model.model.visual)
    plans = [training_plan(seed, i, recipe.pool_videos) for i in range(recipe.pool_videos)]
    pool = labelled_pairs(plans, seed)
    report(f"{len(pool.pixels)} pairs rendered")
    train_vision(model, tokenizer, pool, recipe.vision_steps, generator, report)
    videos = _features(model, tokenizer, seed, recipe, generator)
    report(f"{len(videos)} videos encoded")
    _train_reader(model, tokenizer, videos, seed, recipe.stages, report)
    minutes = (time.monotonic() - started) / 60
    figures = {split: _held_out(model, tokenizer, split, recipe) for split in HELD_OUT_SETS}
    report(f"{figures}")
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    write_card(out, seed, minutes, recipe.held_out_videos, KEPT, figures)


def _features(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    recipe: BuildRecipe,
    generator: torch.Generator,
) -> list[TrainingVideo]:
    """Every pair of the reader's videos, degraded, through the frozen tower."""
    videos = []
    for index in range(recipe.reader_videos):
        plan = training_plan(seed, index, recipe.pool_videos)
        plan = with_glitches(plan) if index % 2 else plan
        pairs = degrade(frame_pairs(plan), generator)
        videos.append(training_video(plan, pairs, model.model.visual, tokenizer, KEPT))
    return videos


def _train_reader(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    videos: Sequence[TrainingVideo],
    seed: int,
    stages: Sequence[ReaderStage],
    report: Report,
) -> None:
    asker = Asker(tokenizer)
    for number, stage in enumerate(stages):
        report(f"{stage}")
        train_reader(model, videos, asker, stage, seed + number, report)


def _held_out(
    model: Qwen2VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    split: Split,
    recipe: BuildRecipe,
) -> dict[str, dict[str, float]]:
    spec = NeedlesSpec(split=split, videos=recipe.held_out_videos, seed=HELD_OUT_SEED)
    return measure(model, tokenizer, spec, KEPT)


HELD_OUT_SETS: tuple[Split, ...] = ("clean", "glitch")
HELD_OUT_SEED = 4242
"""Seed of the videos behind the card's figures; demos use others."""


def main() -> None:
    """Command line of the build."""
    parser = argparse.ArgumentParser(prog="python -m ntlbg_model.tiny_base.build")
    parser.add_argument("--out", type=Path, default=TINY, help="folder of the checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {line}", flush=True)

    build(options.seed, BuildRecipe(), options.out, report)


if __name__ == "__main__":
    main()
