"""How much of what a reader could answer survives each selection, on rendered needles.

    python benchmarks/selection_quality.py [--seeds 5] [--videos 80] [--work DIR] [--out DIR]

Each seed has test videos of its own, a reader of its own and a selector of its own. The readers
learn from oracle selections, whole videos and all baselines in equal parts, then are frozen; the
learned selector learns, on other training videos, from what spoke for its reader's right answers.
Test videos go through H.264. Selections see the same frozen features; similarity to the question
is the tiny base's own.

Declared beforehand: the primary endpoint is the glitch split, 512 frames, 12.5 % of them kept,
seeds pooled, learned NTLBG against each baseline, paired tests clustered by video. Everything else
is secondary and Holm-corrected in one family.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from quality.footage import Clip, test_clips, training_clips
from quality.methods import LEARNED, ORACLE, Select, Similarity, fixed_methods, recall
from quality.training import (
    Batches,
    CacheEntry,
    Learned,
    choices,
    items_of,
    train_reader,
    train_selector,
)
from quality.verdicts import Answered, endpoint, print_table

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.config import ModelConfig
from ntlbg_model.data.needles.plan import NeedlesSpec
from ntlbg_model.modeling.load import load_backbone

READER_VIDEOS = 101
SELECTOR_VIDEOS = (202, 303)
"""Seeds of training videos, `--training-videos` each."""
FIRST_TEST_SEED = 9000
BUDGETS = {"12.5 %": 8, "6 %": 16, "3 %": 32}
"""Share of the frames kept: one pair in so many."""
PRIMARY = ("glitch", 512, "12.5 %")


@dataclass(frozen=True)
class Setting:
    """One set of test videos."""

    split: str
    frames: int
    videos: int
    """For each seed."""


def settings(videos: int) -> tuple[Setting, ...]:
    """The primary endpoint's set is the largest; long videos cost eight times as much."""
    return (
        Setting("glitch", 512, videos),
        Setting("clean", 512, max(4, videos // 2)),
        Setting("glitch", 4096, max(2, videos // 8)),
        Setting("clean", 4096, max(2, videos // 8)),
    )


def kept(work: Path | None, name: str, make: Any) -> list[Clip]:
    """Clips from the work folder where an earlier run left them."""
    path = None if work is None else work / f"{name}.pt"
    if path is not None and path.exists():
        return torch.load(path, weights_only=False)  # type: ignore[no-any-return]
    started = time.monotonic()
    clips: list[Clip] = make()
    print(f"{name}: {len(clips)} videos in {time.monotonic() - started:.0f} s", flush=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(clips, path)
    return clips


def test_set(backbone: Backbone, setting: Setting, seed: int, work: Path | None) -> list[Clip]:
    """The videos of one seed."""
    spec = NeedlesSpec(
        split=setting.split,  # type: ignore[arg-type]
        videos=setting.videos,
        frames=setting.frames,
        questions_per_video=8,
        seed=FIRST_TEST_SEED + setting.frames + seed,
    )
    name = f"{setting.split}-{setting.frames}-{setting.videos}-{seed}"
    return kept(work, name, lambda: test_clips(backbone, spec))


@torch.no_grad()
def answers(
    batches: Batches, reader: Any, items: list[CacheEntry], select: Select, count: int
) -> list[Answered]:
    """Every question answered from one selection."""
    found = []
    for start in range(0, len(items), 64):
        part = items[start : start + 64]
        pairs = [select(item.clip, item.ask, count) for item in part]
        logits, _ = reader(batches.batch(part, pairs))
        for item, chosen, row in zip(part, pairs, logits, strict=True):
            found.append(
                Answered(
                    question_id=item.ask.question_id,
                    video_id=item.clip.video_id,
                    category=item.ask.category,
                    correct=int(row.argmax()) == item.ask.answer,
                    recall=recall(item.ask, chosen),
                )
            )
    return found


def run_seed(
    backbone: Backbone,
    train: list[Clip],
    other: list[Clip],
    training_choices: dict[str, list[torch.Tensor]],
    seed: int,
    arguments: argparse.Namespace,
) -> dict[tuple[str, int, str], dict[str, list[Answered]]]:
    """Train this seed's reader and selector, then answer all of its test sets."""
    similarity, batches = Similarity(backbone), Batches(backbone)
    methods = fixed_methods(similarity, seed)
    pairs = train[0].tokens.shape[0]
    budgets = [pairs // share for share in BUDGETS.values()]
    started = time.monotonic()
    reader = train_reader(
        batches, train, training_choices, budgets, seed=seed, steps=arguments.reader_steps
    )
    trained = time.monotonic()
    selector = train_selector(
        batches, reader, similarity, other, seed=seed, steps=arguments.selector_steps
    )
    print(
        f"seed {seed}: reader {trained - started:.0f} s, "
        f"selector {time.monotonic() - trained:.0f} s",
        flush=True,
    )
    methods[LEARNED] = Learned(selector, batches, similarity)
    found = {}
    for setting in settings(arguments.videos):
        items = items_of(test_set(backbone, setting, seed, arguments.work))
        candidates = items[0].clip.tokens.shape[0]
        for budget, share in BUDGETS.items():
            found[setting.split, setting.frames, budget] = {
                name: answers(batches, reader, items, select, candidates // share)
                for name, select in methods.items()
            }
        print(f"  {setting.split} {setting.frames}: {len(items)} questions", flush=True)
    return found


def pooled(
    seeds: list[dict[tuple[str, int, str], dict[str, list[Answered]]]],
) -> dict[tuple[str, int, str], dict[str, list[Answered]]]:
    """All seeds' answers; videos and questions are disjoint between seeds."""
    return {
        key: {name: [row for seed in seeds for row in seed[key][name]] for name in methods}
        for key, methods in seeds[0].items()
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--videos", type=int, default=80, help="glitch videos of 512 frames a seed")
    parser.add_argument("--training-videos", type=int, default=300)
    parser.add_argument("--reader-steps", type=int, default=1500)
    parser.add_argument("--selector-steps", type=int, default=2400)
    parser.add_argument("--work", type=Path, help="keep the rendered features here")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    backbone = load_backbone(
        ModelConfig(base_model="tiny", tuning="none"),
        dtype=torch.float32,
        device="cpu",
        attention="sdpa",
    )
    with torch.no_grad():
        train, *others = (
            kept(
                arguments.work,
                f"train-{arguments.training_videos}-{seed}",
                lambda seed=seed: training_clips(backbone, arguments.training_videos, seed),
            )
            for seed in (READER_VIDEOS, *SELECTOR_VIDEOS)
        )
        other = [clip for clips in others for clip in clips]
        budgets = [train[0].tokens.shape[0] // share for share in BUDGETS.values()]
        chosen = choices(items_of(train), fixed_methods(Similarity(backbone), 0), budgets)
        chosen.pop(ORACLE)
    results = pooled(
        [
            run_seed(backbone, train, other, chosen, seed, arguments)
            for seed in range(arguments.seeds)
        ]
    )
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, no GPU, one thread",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "arguments": {
            name: value for name, value in vars(arguments).items() if name not in ("work", "out")
        },
        "minutes": (time.monotonic() - started) / 60,
        **endpoint(results, PRIMARY, LEARNED, ORACLE),
    }
    print_table(record)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "selection_quality.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
