"""Sinusoids of continuous time: no table, so no last position."""

import math

import torch
from torch import Tensor

from ntlbg_model.geometry.connector_size import TIME_WIDTH

LONGEST = 8 * 3600.0
"""Longest period, in the unit of the times; the shortest is two."""


def time_encoding(times: Tensor) -> Tensor:
    """Encodings [..., 32] of `times` [...]: sine and cosine at 16 periods from 2 to 28 800.

    As in 'Attention Is All You Need' (arXiv:1706.03762) with periods that cover hours in seconds;
    later times are encoded too, only less uniquely.
    """
    half = TIME_WIDTH // 2
    steps = torch.arange(half, device=times.device, dtype=torch.float32) / (half - 1)
    periods = 2.0 * (LONGEST / 2.0) ** steps
    angles = times.float()[..., None] * (2 * math.pi / periods)
    return torch.cat((angles.sin(), angles.cos()), dim=-1)
