"""Pixel statistics of frame pairs: what the training-free selectors see."""

import torch
import torch.nn.functional as functional
from torch import Tensor

CELLS = 7
"""Thumbnail cells a side."""


def pair_features(pixels: Tensor) -> Tensor:
    """Features [P, d] of `pixels` uint8 [n, h, w, 3], two consecutive frames a pair.

    Each frame becomes a thumbnail of cell means and one of cell contrasts (standard deviation of
    luminance in the cell); a pair keeps the mean of its two frames' thumbnails, and the larger of
    their contrasts. An odd last frame is left out.
    """
    frames = pixels[: pixels.shape[0] // 2 * 2]
    x = frames.permute(0, 3, 1, 2).float() / 255
    colour = functional.adaptive_avg_pool2d(x, CELLS)
    luminance = x.mean(dim=1, keepdim=True)
    squares = functional.adaptive_avg_pool2d(luminance.square(), CELLS)
    means = functional.adaptive_avg_pool2d(luminance, CELLS)
    contrast = (squares - means.square()).clamp(min=0).sqrt()
    pooled = torch.stack((colour[0::2], colour[1::2]), dim=1).mean(dim=1)
    peak = torch.maximum(contrast[0::2], contrast[1::2])
    return torch.cat((pooled.flatten(1), peak.flatten(1)), dim=1)
