"""Rendered videos as the tiny base's frozen vision tower sees them, with their questions.

Test videos go through a real H.264 file and the real decoder. Training videos are rendered in
memory and degraded as a codec would; every other one has irrelevant bursts.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ntlbg_model.backbone.model import Backbone
from ntlbg_model.backbone.vision import vision_features
from ntlbg_model.data.needles.plan import NeedlesSpec, VideoPlan
from ntlbg_model.data.needles.questions import questions
from ntlbg_model.data.needles.render import render
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.data.needles.write import encode
from ntlbg_model.data.video import read_frames
from ntlbg_model.selection.features import pair_features
from ntlbg_model.tiny_base.architecture import RESOLUTION
from ntlbg_model.tiny_base.footage import degrade, frame_pairs, training_plan, with_glitches


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question about a clip."""

    question_id: str
    text: str
    category: str
    options: tuple[str, ...]
    answer: int
    gold: tuple[tuple[int, ...], ...]
    """Pairs of each moment that the answer depends on."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One video."""

    video_id: str
    tokens: Tensor
    """Half precision [P, 4, d]: the merged tokens of each pair."""
    pixels: Tensor
    """[P, 196], the pixel statistics that training-free NTLBG sees."""
    flashes: tuple[tuple[int, ...], ...]
    """Pairs of each flash."""
    asks: tuple[Ask, ...]


def training_clips(backbone: Backbone, videos: int, seed: int) -> list[Clip]:
    """Videos of the training split; looks that the tests ask for never occur."""
    generator = torch.Generator().manual_seed(seed)
    clips = []
    for index in range(videos):
        plan = training_plan(seed, index, videos)
        if index % 2:
            plan = with_glitches(plan)
        clips.append(_clip(backbone, plan, degrade(frame_pairs(plan), generator)))
    return clips


def test_clips(backbone: Backbone, spec: NeedlesSpec) -> list[Clip]:
    """Every video of `spec`, encoded, decoded and resized as a data set's videos are."""
    clips = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(spec.videos):
            plan = sample_video(spec, index)
            path = Path(folder) / "video.mp4"
            encode(render(plan), path)
            frames = read_frames(path, range(plan.frames), (RESOLUTION, RESOLUTION)).pixels
            pairs = torch.from_numpy(frames).view(-1, 2, RESOLUTION, RESOLUTION, 3)
            clips.append(_clip(backbone, plan, pairs))
    return clips


def _clip(backbone: Backbone, plan: VideoPlan, pairs: Tensor) -> Clip:
    return Clip(
        video_id=plan.video_id,
        tokens=vision_features(backbone.visual, pairs).half(),
        pixels=pair_features(pairs.flatten(0, 1)),
        flashes=tuple(_pairs(needle.frames) for needle in plan.needles),
        asks=tuple(
            Ask(
                question_id=question.question_id,
                text=question.question,
                category=question.category,
                options=question.candidates,
                answer=question.answer or 0,
                gold=tuple(
                    _pairs(needle.frames)
                    for needle in plan.needles
                    if set(needle.frames) <= set(question.positions)
                ),
            )
            for question in questions(plan)
        ),
    )


def _pairs(frames: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted({frame // 2 for frame in frames}))
