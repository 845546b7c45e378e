"""Training footage for the tiny base: rendered in memory, degraded as a codec would."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor

from ntlbg_model.config import PAIR
from ntlbg_model.data.needles.plan import NeedlesSpec, VideoPlan
from ntlbg_model.data.needles.render import needle_window, render_frames
from ntlbg_model.data.needles.sampling import sample_video
from ntlbg_model.tiny_base.architecture import NOTHING, RESOLUTION

CHROMA = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
"""RGB to luma and two colour differences (BT.601)."""


def training_plan(seed: int, index: int, videos: int) -> VideoPlan:
    """Plan of one training video, with as many questions as it has."""
    spec = NeedlesSpec(split="train", videos=videos, seed=seed, questions_per_video=8)
    return sample_video(spec, index)


def with_glitches(plan: VideoPlan) -> VideoPlan:
    """The plan with the irrelevant bursts of another video, where they touch no flash.

    Whoever reads videos has seen frames that mean nothing; a base that has not takes them for
    scenery.
    """
    spec = replace(plan.spec, split="glitch")
    busy = {frame for needle in plan.needles for frame in needle.frames}
    bursts = tuple(
        burst
        for burst in sample_video(spec, plan.index).glitches
        if busy.isdisjoint(range(burst.start - PAIR, burst.start + burst.length + PAIR))
    )
    return replace(plan, glitches=bursts)


def frame_pairs(plan: VideoPlan, pairs: Sequence[int] | None = None) -> Tensor:
    """Pairs uint8 [k, 2, 56, 56, 3] of a video (None: all), averaged down from 112 pixels.

    Raises ValueError where the plan is of another resolution.
    """
    if plan.spec.resolution != 2 * RESOLUTION:
        raise ValueError(f"footage is rendered at {2 * RESOLUTION} pixels")
    chosen = range(plan.frames // 2) if pairs is None else pairs
    full = render_frames(plan, [2 * pair + half for pair in chosen for half in (0, 1)])
    return torch.from_numpy(_halved(full)).view(-1, 2, RESOLUTION, RESOLUTION, 3)


def _halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    wide = pixels.astype(np.uint16)
    rows = wide[:, ::2] + wide[:, 1::2]
    total = rows[:, :, ::2] + rows[:, :, 1::2]
    mean: npt.NDArray[np.uint8] = ((total + 2) // 4).astype(np.uint8)
    return mean


def degrade(pairs: Tensor, generator: torch.Generator) -> Tensor:
    """Pairs uint8 [k, 2, h, w, 3] with what a decoded H.264 frame may have: coarse chroma, noise,
    a slight tint. One draw of the strengths for all of them."""
    strength, noise, *gains = torch.rand(5, generator=generator).tolist()
    x = pairs.flatten(0, 1).float()
    planes = (x @ CHROMA.T).permute(0, 3, 1, 2)
    coarse = functional.interpolate(functional.avg_pool2d(planes[:, 1:], 2), scale_factor=2)
    planes[:, 1:] += strength * (coarse - planes[:, 1:])
    x = planes.permute(0, 2, 3, 1) @ torch.linalg.inv(CHROMA).T
    x *= 1 + 0.06 * (torch.tensor(gains) - 0.5)
    x += 5 * noise * torch.randn(x.shape, generator=generator)
    result: Tensor = x.round().clamp(0, 255).to(torch.uint8).view(pairs.shape)
    return result


def pair_words(plan: VideoPlan) -> list[tuple[str, str, str]]:
    """What each pair shows: shape and colour of its flash (or 'nothing'), and background."""
    words = np.full((plan.frames // 2, 3), NOTHING, dtype=object)
    for scene in plan.scenes:
        words[scene.start // 2 : -(-scene.stop // 2), 2] = scene.background
    for needle in plan.needles:
        for frame in needle.frames:
            words[frame // 2, :2] = needle.shape, needle.colour
    return [(str(shape), str(colour), str(hue)) for shape, colour, hue in words]


def flash_centres(plan: VideoPlan) -> Tensor:
    """Row and column [P, 2] of the middle of each pair's flash; the frame's middle without."""
    centres = torch.full((plan.frames // 2, 2), RESOLUTION // 2)
    for needle in plan.needles:
        window = needle_window(needle, RESOLUTION)
        middle = torch.tensor([(side.start + side.stop) // 2 for side in window])
        for frame in needle.frames:
            centres[frame // 2] = middle
    return centres
