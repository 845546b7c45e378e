"""M-RoPE positions of sparse frame pairs at their true times.

A pair's temporal id is its index among the video's candidate pairs, so that two kept pairs are as
far apart as in the fully sampled video. Text after the video resumes at the largest id plus one,
as in the Qwen2-VL paper (arXiv:2409.12191); transformers' own `get_rope_index` resumes at
start + max(h, w) and ignores the temporal extent.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def sparse_positions(prefix: int, pairs: Tensor, grid: tuple[int, int], suffix: int) -> Tensor:
    """Ids [3, prefix + k h w + suffix] (temporal, height, width) of text, video, text.

    `pairs` [k] are candidate pair indices, ascending; `grid` is (h, w) in language-model tokens.
    """
    return around_video(prefix, grid_positions(pairs, *grid), suffix)


def grid_positions(times: Tensor, height: int, width: int) -> Tensor:
    """Ids [3, t h w] of a regular grid whose t slices have the temporal ids `times` [t]."""
    device = times.device
    temporal = times.long().repeat_interleave(height * width)
    rows = torch.arange(height, device=device).repeat_interleave(width).repeat(times.numel())
    columns = torch.arange(width, device=device).repeat(times.numel() * height)
    return torch.stack((temporal, rows, columns))


def around_video(prefix: int, video: Tensor, suffix: int) -> Tensor:
    """Ids [3, prefix + m + suffix] of text, a video with ids `video` [3, m] from zero, text."""
    video = video + prefix
    before = torch.arange(prefix).expand(3, -1)
    resume = int(video.max()) + 1 if video.numel() else prefix
    after = torch.arange(resume, resume + suffix).expand(3, -1)
    return torch.cat((before, video, after), dim=1)


def batch_positions(rows: Sequence[Tensor]) -> Tensor:
    """Right-padded ids [3, B, S] for training and scoring; padding repeats id zero."""
    longest = max(row.shape[1] for row in rows)
    padded = [torch.nn.functional.pad(row, (0, longest - row.shape[1])) for row in rows]
    return torch.stack(padded, dim=1)


def generation_positions(positions: Tensor) -> Tensor:
    """Ids [4, B, S] for `generate`, which wants a row of plain text positions first."""
    _, batch, length = positions.shape
    text = torch.arange(length, device=positions.device).expand(1, batch, length)
    return torch.cat((text, positions), dim=0)
