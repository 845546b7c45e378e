"""What remembered vision features save of a training step of the tiny base, in one run.

    python benchmarks/vision_cache.py [--kept 16] [--batch 4] [--side 112] [--repeats 9]

The same step (forward, loss on the answer, backward into the adapters) on the same questions, with
features of every pair computed and with all of them remembered, as from the second epoch on where
the cache holds the data. Times are the minimum of interleaved repeats: whatever else runs on the
machine hits both alike.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as functional

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.prompt import build_prompt
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision_cache import MIB, VisionCache
from ntlbg_model.config import PAIR, ModelConfig
from ntlbg_model.inputs.collate import Sample, collate
from ntlbg_model.modeling.answers import answer_logits
from ntlbg_model.modeling.load import load_backbone
from ntlbg_model.records import Question

STEPS = ("every pair computed", "all pairs remembered")


def questions(backbone: Backbone, batch: int, kept: int, side: int) -> VideoPrompt:
    """A batch of questions, each over `kept` frames of noise of its own."""
    generator = torch.Generator().manual_seed(0)
    shape = (kept // PAIR, PAIR, side, side, 3)
    samples = []
    for number in range(batch):
        asked = Question(
            question_id=f"q{number}",
            video_id=f"v{number}",
            video_path=Path(f"v{number}.mp4"),
            question="what colour is the star that flashed?",
            candidates=("red", "blue"),
            answer=0,
            category="",
        )
        samples.append(
            Sample(
                prompt=build_prompt(asked, backbone.tokenizer, "option_words"),
                pixels=torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8),
                pairs=4 * torch.arange(kept // PAIR),
                answer=0,
                video=asked.video_id,
            )
        )
    return collate(samples, backbone.video_token)


def step(backbone: Backbone, prompt: VideoPrompt) -> None:
    """Forward and backward."""
    logits = answer_logits(backbone, prompt)
    functional.cross_entropy(logits, prompt.input_ids[:, 0]).backward()
    backbone.model.zero_grad(set_to_none=True)


def seconds(plain: Backbone, prompt: VideoPrompt, repeats: int) -> dict[str, list[float]]:
    """Interleaved times of both steps after one of each to warm up."""
    cached = replace(plain, vision_cache=VisionCache(512 * MIB))
    taken: dict[str, list[float]] = {name: [] for name in STEPS}
    for turn in range(repeats + 1):
        for name, backbone in zip(STEPS, (plain, cached), strict=True):
            started = time.perf_counter()
            step(backbone, prompt)
            if turn:
                taken[name].append(time.perf_counter() - started)
    return taken


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = ModelConfig(base_model="tiny", vision_cache_mib=0)
    plain = load_backbone(config, dtype=torch.float32, device="cpu", attention="sdpa")
    prompt = questions(plain, arguments.batch, arguments.kept, arguments.side)
    taken = seconds(plain, prompt, arguments.repeats)
    fastest = {name: min(times) for name, times in taken.items()}
    ratio = fastest[STEPS[1]] / fastest[STEPS[0]]
    for name, value in fastest.items():
        print(f"  {name:22} {1e3 * value:9.2f} ms")
    print(f"a step with remembered features takes {ratio:.2f} of one without")
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, one thread, shared",
        "versions": {name: version(name) for name in ("torch", "transformers")},
        **{name: getattr(arguments, name) for name in ("kept", "batch", "side", "repeats")},
        "base_model": "tiny",
        "min_ms": {name: 1e3 * value for name, value in fastest.items()},
        "median_ms": {name: 1e3 * sorted(t)[len(t) // 2] for name, t in taken.items()},
        "ratio": ratio,
        "gpu": "not measured",
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "vision_cache.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
