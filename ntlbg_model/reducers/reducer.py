"""The one form of every token reducer."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Reducer(nn.Module, ABC):
    """Turns the backbone's merged grid of one video into the language model's tokens.

    All of them work behind the backbone's own projection, on frame pairs instead of frames.
    """

    @staticmethod
    @abstractmethod
    def positions(pairs: Tensor, grid: tuple[int, int]) -> Tensor:
        """M-RoPE ids [3, m] (temporal, height, width) of the m tokens, from zero.

        `pairs` [k] are candidate pair indices, ascending; `grid` is (h, w).
        """

    @abstractmethod
    def forward(self, features: Tensor, pairs: Tensor) -> Tensor:
        """Tokens [m, d] of `features` [k, h, w, d] at candidate pairs `pairs` [k]."""


def pooled_times(pairs: Tensor, bounds: list[tuple[int, int]]) -> Tensor:
    """Mean temporal id [t], rounded down, of each slice `start:stop` of `pairs`."""
    means = [pairs[start:stop].float().mean().floor() for start, stop in bounds]
    return torch.stack(means).long()
