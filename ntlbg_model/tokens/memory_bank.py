"""A memory of fixed size over a stream of points."""

import torch
import torch.nn.functional as functional
from torch import Tensor


class MemoryBank:
    """At most `capacity` states in order of time, whatever was added.

    When there are more, the two most similar neighbours (cosine) become their mean, again and
    again: MovieChat's consolidation (arXiv:2307.16449, section 3.3). Departure: means are weighted
    by how many points each state stands for, as in token merging (arXiv:2210.09461), so that the
    bank's weighted mean stays the stream's.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a memory bank needs room for one state, got {capacity}")
        self._capacity = capacity
        self._states: Tensor | None = None
        self._weights: Tensor | None = None
        self.peak = 0
        """Most states ever held at once: never above `capacity` plus one chunk."""

    @property
    def states(self) -> Tensor:
        """[m, width], m at most the capacity. Raises ValueError before anything was added."""
        if self._states is None:
            raise ValueError("nothing was added to the memory bank")
        return self._states

    @property
    def weights(self) -> Tensor:
        """[m], points that each state stands for."""
        if self._weights is None:
            raise ValueError("nothing was added to the memory bank")
        return self._weights

    def add(self, states: Tensor) -> None:
        """Append a chunk [s, width], then merge down to the capacity."""
        weights = torch.ones(len(states), device=states.device)
        if self._states is None or self._weights is None:
            self._states, self._weights = states, weights
        else:
            self._states = torch.cat((self._states, states))
            self._weights = torch.cat((self._weights, weights))
        self.peak = max(self.peak, len(self._states))
        while len(self._states) > self._capacity:
            self._states, self._weights = _merged(self._states, self._weights)


def _merged(states: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """One state fewer: the most similar neighbours as one, the earliest where two tie."""
    with torch.no_grad():
        i = int(functional.cosine_similarity(states[:-1], states[1:], dim=1).argmax())
    total = weights[i] + weights[i + 1]
    mean = (weights[i] * states[i] + weights[i + 1] * states[i + 1]) / total
    return (
        torch.cat((states[:i], mean[None], states[i + 2 :])),
        torch.cat((weights[:i], total[None], weights[i + 2 :])),
    )
