"""The backbone as its own scorer: its frozen vision tower on all candidates, at low resolution."""

import copy

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.backbone.vision import MERGE, PATCH, vision_features
from ntlbg_model.config import PAIR
from ntlbg_model.selection.features import scaled

BLOCKS = 4
"""Vision blocks that are run for features. Qwen2-VL has 32."""
SIDE = 112
"""Most pixels a side: candidates are many."""


def merged_tokens(visual: nn.Module, pixels: Tensor) -> Tensor:
    """What the language model would see of all candidates, [P, n, hidden], in 16 bits.

    `pixels` uint8 [frames, h, w, 3], on any device; the result is on the tower's.
    """
    parts = _in_parts(visual, pixels)
    return torch.cat([part.half() if part.dtype == torch.float32 else part for part in parts])


def block_features(visual: nn.Module, pixels: Tensor, blocks: int = BLOCKS) -> Tensor:
    """Features [P, 2 dim] of `pixels` [frames, h, w, 3]: patch embedding and first `blocks`.

    Mean and deviation over the patches of a pair, each of total variance one over the video: what
    fills the frame, and what stands out in it. A tower with no more blocks than that is run to
    its end, and the mean of its merged tokens [P, hidden] is taken.
    """
    if blocks >= len(visual.blocks):  # type: ignore[arg-type]
        return merged_tokens(visual, pixels).float().mean(dim=1)
    tower = first_blocks(visual, blocks)
    means, deviations = [], []
    for part in _in_parts(tower, pixels):
        patches = part.float().view(part.shape[0], part.shape[1] * MERGE**2, -1)
        means.append(patches.mean(dim=1))
        deviations.append(patches.std(dim=1, correction=0))
    return torch.cat((scaled(torch.cat(means)), scaled(torch.cat(deviations))), dim=1)


def first_blocks(visual: nn.Module, blocks: int) -> nn.Module:
    """A tower of the first `blocks` of `visual`, sharing its weights, without the merger."""
    tower = copy.copy(visual)
    tower._modules = dict(visual._modules)
    tower.blocks = nn.ModuleList(list(visual.blocks)[:blocks])  # type: ignore[arg-type]
    # What the merger takes together stays together, since a windowed tower reorders its output.
    tower.merger = nn.Sequential(nn.Unflatten(0, (-1, MERGE**2)), nn.Flatten(1))
    return tower


def small_pairs(frames: Tensor, side: int = SIDE) -> Tensor:
    """Pairs uint8 [P, 2, h, w, 3] of an even number of `frames` [n, H, W, 3].

    At most `side` pixels high and wide, and multiples of 28.
    """
    unit = PATCH * MERGE
    height, width = (max(unit, min(x, side) // unit * unit) for x in frames.shape[1:3])
    if (height, width) != tuple(frames.shape[1:3]):
        x = frames.permute(0, 3, 1, 2).float()
        x = functional.interpolate(x, (height, width), mode="bilinear", antialias=True)
        frames = x.permute(0, 2, 3, 1).round().clamp(0, 255).to(torch.uint8)
    return frames.view(-1, PAIR, height, width, 3)


@torch.no_grad()
def _in_parts(tower: nn.Module, pixels: Tensor, pairs: int = 64) -> list[Tensor]:
    """Outputs of the tower, `pairs` at a time; an odd last frame is left out."""
    device = next(tower.parameters()).device
    even = pixels[: pixels.shape[0] // PAIR * PAIR]
    return [
        vision_features(tower, small_pairs(part.to(device)), chunk=max(1, len(part) // PAIR))
        for part in torch.split(even, PAIR * pairs)
    ]
