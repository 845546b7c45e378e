"""The order in which training sees its samples: ours, the same at any world size."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

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


class Share(NamedTuple):
    """A set of samples, and how much of a training is drawn from it."""

    samples: int
    weight: float = 1.0
    """Relative to the other sets'."""


class MixtureSampler(Sampler[int]):
    """`length` indices into sets that lie one after another, each a stream of its own.

    At every moment each set has been drawn from as often as its share of the weights says, as near
    as whole samples go. One set alone is its `StreamSampler`.
    """

    def __init__(self, sets: Sequence[Share], length: int, seed: int) -> None:
        whole = sum(each.weight for each in sets)
        self._shares = [each.weight / whole for each in sets]
        self._starts = list(accumulate((each.samples for each in sets), initial=0))[:-1]
        self._streams = [
            StreamSampler(each.samples, length, seed + place * _APART)
            for place, each in enumerate(sets)
        ]
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        """The mixture from its start; who resumes skips what was seen."""
        streams = [iter(stream) for stream in self._streams]
        drawn = [0] * len(streams)
        for moment in range(1, self._length + 1):
            behind = [share * moment - n for share, n in zip(self._shares, drawn, strict=True)]
            place = behind.index(max(behind))
            drawn[place] += 1
            yield self._starts[place] + next(streams[place])


_APART = 7_919
"""Between the seeds of two sets: they are shuffled differently."""
