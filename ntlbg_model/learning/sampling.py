"""The order in which training sees its samples: ours, the same at any world size."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class StreamSampler(Sampler[int]):
    """`length` indices: shuffled epochs one after another, each visiting every sample once.

    Micro-batches are dealt to workers in turn, so the samples of one optimizer step are the same
    `global_batch` consecutive indices whatever the number of workers.
    """

    def __init__(self, samples: int, length: int, seed: int) -> None:
        if samples < 1:
            raise ValueError("there is nothing to sample from")
        self._samples = samples
        self._length = length
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        """The stream from its start; who resumes skips what was seen."""
        left = self._length
        epoch = 0
        while left > 0:
            order = self._order(epoch)[:left]
            yield from order
            left -= len(order)
            epoch += 1

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
        order: list[int] = torch.randperm(self._samples, generator=generator).tolist()
        return order
