"""The model card beside the checkpoint."""

from collections.abc import Mapping
from pathlib import Path

import torch
import transformers

from ntlbg_model.data.needles.plan import Split
from ntlbg_model.tiny_base.measure import LedgerStats

TEXT = """# tiny: a 2 M-parameter Qwen2-VL

For trying the whole system on a laptop: the real `Qwen2VLForConditionalGeneration` class with
2.1 million parameters (0.9 million of them vision), trained from random weights on rendered videos
whose every word is known. It answers questions about flashes of coloured shapes in its own closed
vocabulary, and knows nothing else. Score its answers by the option words: at this size letters
are not learned.

Made by `python -m ntlbg_model.tiny_base.build --seed {seed}` in {minutes:.0f} minutes on one CPU
thread, with torch {torch} and transformers {transformers}; stored in float16. Vision first (its
tower is frozen afterwards), then questions over 1 to 16, then over {kept} pairs of frames. The last
stage draws its frames by five selections in equal parts (every flash, uniform, random, ntlbg,
median_contour), so that the base favours none; every other video has irrelevant bursts.

Licence: that of the package. The training data are drawn by the package itself.

Held-out figures: {videos} videos of 512 frames a set, {kept} of 256 pairs kept, five options a
question (chance 0.20). The (shape, colour) looks asked about occur in no training video.

{tables}"""


def write_card(
    folder: Path,
    seed: int,
    minutes: float,
    videos: int,
    kept: int,
    figures: Mapping[Split, LedgerStats],
) -> None:
    """README.md of the checkpoint: how it was made, and what it can do."""
    text = TEXT.format(
        seed=seed,
        minutes=minutes,
        torch=torch.__version__.split("+")[0],
        transformers=transformers.__version__,
        kept=kept,
        videos=videos,
        tables="\n".join(_table(split, rows) for split, rows in figures.items()),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _table(split: str, figures: LedgerStats) -> str:
    kinds = list(next(iter(figures.values())))
    lines = [f"| {split} | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    for selection, row in figures.items():
        lines.append(f"| {selection} | " + " | ".join(f"{row[kind]:.3f}" for kind in kinds) + " |")
    return "\n".join(lines) + "\n"
