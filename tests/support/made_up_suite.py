"""A made-up suite: every outcome is drawn, nothing was run."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ntlbg_model.records import Prediction
from ntlbg_service.report.html import Provenance
from ntlbg_service.report.results import GroupResult, RunResult, SuiteResult, VariantResult
from ntlbg_service.report.strips import FrameStrip, KeptFrames

CATEGORIES = ("colour", "count", "order", "place")


def predictions(
    skill: float,
    seed: int,
    *,
    videos: int = 12,
    per_video: int = 4,
    recall: float = 0.7,
    dataset: str = "needles",
) -> tuple[Prediction, ...]:
    """Answers that are right with a chance of `skill`, harder in some videos than in others."""
    made = []
    for video in range(videos):
        for place in range(per_video):
            rng = np.random.default_rng([video, place])
            luck = rng.random() + 0.2 * (video % 3 - 1)
            luck += 0.1 * np.random.default_rng([video, place, seed]).normal()
            start = int(rng.integers(0, 460))
            gold_frames = tuple(range(start, start + 12))
            correct = bool(luck < skill)
            sees = bool(rng.random() < recall)
            frames = (0, start + 3 if sees else 479)
            made.append(
                Prediction(
                    dataset=dataset,
                    question_id=f"v{video:02d}-q{place}",
                    video_id=f"v{video:02d}",
                    category=CATEGORIES[place % 4],
                    gold=1,
                    answer=1 if correct else 0,
                    correct=correct,
                    frames=frames,
                    gold_frames=gold_frames,
                    needle_recall=float(sees),
                    visual_tokens=1024,
                    seconds=0.04 + 0.01 * rng.random(),
                )
            )
    return tuple(made)


def failed(prediction: Prediction, why: str) -> Prediction:
    """The same question, without an answer."""
    return replace(
        prediction,
        answer=None,
        correct=False,
        failure=why,
        frames=(),
        needle_recall=None,
        visual_tokens=0,
    )


def run(variant: str, seed: int, skill: float, *, numerics: str = "fp32") -> RunResult:
    """A finished run."""
    twist = crc32(variant.encode()) % 7
    decay = 1.2 + 0.05 * twist
    return RunResult(
        run_id=f"{variant}-{seed}",
        seed=seed,
        state="finished",
        profile="cpu",
        numerics=numerics,
        fit="fp32, micro-batch 4 x 2",
        predicted_memory_mib=1800 + 40 * twist,
        peak_memory_mib=1724.0 + 41 * twist + 9 * seed,
        train_seconds=93.0 + seed,
        loss_curve=tuple(
            (step, 0.4 + 1.4 / (1 + step / 12) ** decay + 0.03 * float(np.sin(step + seed)))
            for step in range(0, 201, 5)
        ),
        predictions={"needles": predictions(skill, seed, recall=0.3 + 0.7 * skill)},
    )


def variant(
    name: str, skill: float, seeds: Sequence[int] = (1, 2, 3), *, numerics: str = "fp32"
) -> VariantResult:
    """A variant with all its runs finished."""
    return VariantResult(
        name=name,
        runs=tuple(run(name, seed, skill, numerics=numerics) for seed in seeds),
        datasets=("needles",),
    )


def waiting(run_id: str, seed: int, state: str = "queued", message: str = "") -> RunResult:
    """A run without results."""
    return RunResult(run_id=run_id, seed=seed, state=state, message=message)


def suite() -> SuiteResult:
    """Two groups: frame selection, and a budget with a failed and a waiting run."""
    selection = GroupResult(
        name="selection",
        baseline="uniform",
        variants=(
            variant("uniform", 0.55),
            variant("random", 0.5),
            variant("ntlbg", 0.85),
            variant("median_contour", 0.2),
            VariantResult(
                name="all_frames",
                runs=(
                    run("all_frames", 1, 0.8),
                    waiting("all_frames-2", 2, "failed", "out of memory at step 3"),
                    waiting("all_frames-3", 3),
                ),
                datasets=("needles",),
            ),
        ),
    )
    budget = GroupResult(
        name="budget",
        baseline="K16",
        variants=(
            variant("K16", 0.6),
            variant("K32", 0.68, numerics="bf16"),
            variant("K64", 0.7, seeds=(1,)),
        ),
    )
    return SuiteResult(name="quickstart", groups=(selection, budget))


def picture(frame: int, gold: bool) -> NDArray[np.uint8]:
    """A 72 x 96 frame: a gradient that drifts with time, a bright square in a gold moment."""
    image = np.zeros((72, 96, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(30, 60 + frame % 160, 96)
    image[..., 1] = np.linspace(40, 120, 72)[:, None]
    image[..., 2] = 90
    if gold:
        image[20:52, 32:64] = (240, 210, 60)
    return image


def strip() -> FrameStrip:
    """One question: an even choice misses one of the two moments, the other sees both."""
    gold = (*range(100, 112), *range(371, 377))
    even = tuple(range(0, 480, 30))
    aimed = (10, 11, 60, 61, 102, 103, 150, 151, 210, 211, 290, 291, 372, 373, 440, 441)

    def kept(frames: tuple[int, ...], answer: int | None) -> KeptFrames:
        images = {frame: picture(frame, frame in gold) for frame in frames}
        return KeptFrames(answer=answer, frames=frames, thumbnails=images)

    return FrameStrip(
        dataset="needles",
        question_id="v03-q1",
        question="Which colour does the square have that appears twice?",
        candidates=("red", "yellow", "blue <b>", "green"),
        gold=1,
        gold_frames=gold,
        total_frames=480,
        variants={
            "uniform": kept(even, 0),
            "ntlbg": kept(aimed, 1),
            "all_frames": KeptFrames(answer=None, frames=()),
        },
    )


def provenance() -> Provenance:
    """Of nothing that ran."""
    return Provenance(
        written_at=datetime(2026, 3, 4, 15, 9, tzinfo=UTC),
        code_version="0.1.0 (f0ae1dd)",
        machine="2 cores, 24 GiB, no GPU",
        versions={"torch": "2.13.0", "transformers": "5.17.0"},
        facts={"suite key": "9c1f7a"},
    )
