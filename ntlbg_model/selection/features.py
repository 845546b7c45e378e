"""Pixel statistics of frame pairs: what the training-free selectors see."""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

CELLS = 7
"""Thumbnail cells a side."""

COLOURS = 3 * CELLS * CELLS
"""Width of the colour half of a pair's statistics."""

_BLOCK = 32
"""Frames worked on at once: what fits a processor's cache."""


def pair_features(pixels: Tensor) -> Tensor:
    """Features [P, d] of `pixels` uint8 [n, h, w, 3], two consecutive frames a pair.

    Both halves of the statistics are scaled to the same total variance over the video: unscaled,
    large plain backgrounds fill the principal directions and a small sharp object has none. An odd
    last frame is left out.
    """
    return features_of(pair_statistics(pixels))


def pair_statistics(pixels: Tensor) -> Tensor:
    """Statistics [P, d] of `pixels` uint8 [n, h, w, 3], of each pair by itself.

    Each frame becomes a thumbnail of cell colours and one of local contrasts (standard deviation
    of luminance in the cell). A pair keeps the mean of its two frames' colours and the larger of
    their contrasts, so that what one frame shows is not averaged away. A video's can be gathered
    block by block.
    """
    frames = pixels[: pixels.shape[0] // 2 * 2]
    parts = [_thumbnails(part) for part in torch.split(frames, _BLOCK)] if len(frames) else []
    if not parts:
        return torch.zeros(0, COLOURS + CELLS * CELLS)
    colour, contrast = (torch.cat(half) for half in zip(*parts, strict=True))
    colour_of_pair = (colour[0::2] + colour[1::2]) / 2
    contrast_of_pair = torch.maximum(contrast[0::2], contrast[1::2])
    return torch.cat((colour_of_pair, contrast_of_pair), dim=1)


def features_of(statistics: Tensor) -> Tensor:
    """Features [P, d] of the statistics [P, d] of all of a video's pairs."""
    halves = (statistics[:, :COLOURS], statistics[:, COLOURS:])
    return torch.cat([scaled(half) for half in halves], dim=1)


def _thumbnails(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Colours [n, 3 x 49] and contrasts [n, 49] of uint8 frames [n, h, w, 3], from 0 to 1."""
    whole = frames.shape[1] % CELLS == 0 and frames.shape[2] % CELLS == 0
    colour, squares = (_whole_cells if whole and frames.is_cpu else _any_cells)(frames)
    contrast = (squares - colour.mean(dim=1).square()).clamp(min=0).sqrt()
    return colour.flatten(1), contrast.flatten(1)


def _any_cells(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour [n, 3, 7, 7] and mean squared luminance [n, 7, 7] of the cells."""
    channels = frames.permute(0, 3, 1, 2).float() / 255
    colour = functional.adaptive_avg_pool2d(channels, CELLS)
    squares = functional.adaptive_avg_pool2d(channels.mean(dim=1).square(), CELLS)
    return colour, squares


def _whole_cells(frames: Tensor) -> tuple[Tensor, Tensor]:
    """`_any_cells` in bytes, several times as fast, where cells are whole pixels."""
    pixels = frames.numpy()
    count, height, width, _ = pixels.shape
    rows, columns = height // CELLS, width // CELLS
    wide = np.uint16 if 255 * rows <= np.iinfo(np.uint16).max else np.uint32
    sums = pixels.reshape(count, CELLS, rows, width * 3).sum(axis=2, dtype=wide)
    colour = torch.from_numpy(sums.astype(np.float32)).view(count, CELLS, CELLS, columns, 3).sum(3)
    luminance = pixels[..., 0].astype(np.uint16)
    luminance += pixels[..., 1]
    luminance += pixels[..., 2]
    bright = luminance.astype(np.float32).reshape(count, CELLS, rows, width)
    squared = torch.from_numpy(np.einsum("ncrw,ncrw->ncw", bright, bright))
    squares = squared.view(count, CELLS, CELLS, columns).sum(3)
    area = rows * columns
    return colour.permute(0, 3, 1, 2) / (255 * area), squares / (area * (3 * 255) ** 2)


def scaled(block: Tensor) -> Tensor:
    """Rows [P, d] with total variance one; a constant block stays as it is."""
    rows = block.flatten(1)
    spread = (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    return rows / torch.where(spread > 1e-6, spread, torch.ones_like(spread))
