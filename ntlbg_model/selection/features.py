"""Pixel statistics of frame pairs: what the training-free selectors see."""

import torch
import torch.nn.functional as functional
from torch import Tensor

CELLS = 7
"""Thumbnail cells a side."""


def pair_features(pixels: Tensor) -> Tensor:
    """Features [P, d] of `pixels` uint8 [n, h, w, 3], two consecutive frames a pair.

    Each frame becomes a thumbnail of cell colours and one of local contrasts (standard deviation
    of luminance in the cell). A pair keeps the mean of its two frames' colours and the larger of
    their contrasts, so that what one frame shows is not averaged away. Both halves are scaled to
    the same total variance over the video: unscaled, large plain backgrounds fill the principal
    directions and a small sharp object has none. An odd last frame is left out.
    """
    frames = pixels[: pixels.shape[0] // 2 * 2].permute(0, 3, 1, 2).float() / 255
    colour = functional.adaptive_avg_pool2d(frames, CELLS)
    luminance = frames.mean(dim=1, keepdim=True)
    means = functional.adaptive_avg_pool2d(luminance, CELLS)
    squares = functional.adaptive_avg_pool2d(luminance.square(), CELLS)
    contrast = (squares - means.square()).clamp(min=0).sqrt()
    colour_of_pair = (colour[0::2] + colour[1::2]) / 2
    contrast_of_pair = torch.maximum(contrast[0::2], contrast[1::2])
    return torch.cat((scaled(colour_of_pair), scaled(contrast_of_pair)), dim=1)


def scaled(block: Tensor) -> Tensor:
    """Rows [P, d] with total variance one; a constant block stays as it is."""
    rows = block.flatten(1)
    spread = (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    return rows / torch.where(spread > 1e-6, spread, torch.ones_like(spread))
