"""Attention across the points of a video, in memory that need not grow with its length.

With a memory bank the points are read twice, segment by segment: once into the bank, whose states
attend to each other, and once to attend to the bank. While the bank holds every point the result
is that of full attention; beyond, near points have been merged and memory stays constant.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ntlbg_model.config import TemporalConfig
from ntlbg_model.geometry.connector_size import ATTENTION_WIDTH, TIME_WIDTH, groups
from ntlbg_model.tokens.memory_bank import MemoryBank
from ntlbg_model.tokens.time_encoding import time_encoding

SEGMENT = 16
"""Points of a segment."""


class AttentionBlock(nn.Module):
    """A pre-norm transformer layer whose keys may be others than its queries."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._heads = groups(width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """[n, width] attending to [m, width]."""
        query = self.query(self.norms[0](x))
        key, value = self.key_value(self.norms[0](memory)).chunk(2, dim=1)
        heads = (y.unflatten(1, (self._heads, -1)).transpose(0, 1) for y in (query, key, value))
        attended = functional.scaled_dot_product_attention(*heads)
        x = x + self.leave(attended.transpose(0, 1).flatten(1))
        x = x + self.narrow(functional.gelu(self.widen(self.norms[1](x))))
        return x


class TemporalEncoder(nn.Module):
    """What each point [k, d] gains from the others; zero at first.

    hierarchical: half of the layers attend within segments of 16 points, the other half across
    the segments' means, and each point receives what its segment gained.
    """

    def __init__(self, hidden: int, config: TemporalConfig) -> None:
        super().__init__()
        width = min(ATTENTION_WIDTH, hidden)
        within = config.layers // 2 if config.hierarchical else 0
        self._capacity = config.memory_bank_size
        self._hierarchical = config.hierarchical
        self.enter = nn.Linear(hidden + TIME_WIDTH, width)
        self.within = nn.ModuleList(AttentionBlock(width) for _ in range(within))
        self.across = nn.ModuleList(AttentionBlock(width) for _ in range(config.layers - within))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, hidden)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, points: Tensor, times: Tensor) -> Tensor:
        """[k, hidden] of `points` [k, hidden] at `times` [k] in seconds."""
        segments = list(zip(torch.split(points, SEGMENT), torch.split(times, SEGMENT), strict=True))
        if self._capacity:
            memory = self.remember(segments)
            return torch.cat([self.enrich(*segment, memory) for segment in segments])
        states = [self._local(*segment) for segment in segments]
        inputs = torch.cat([self._summary(local) for local in states])
        outputs = self._across(inputs)[-1]
        sizes = [1 if self._hierarchical else len(local) for local in states]
        gained = torch.split(outputs - inputs, sizes)
        return torch.cat([self._leave(a + b) for a, b in zip(states, gained, strict=True)])

    def remember(self, segments: Iterable[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """States of the memory bank [m, width] before each layer, after one pass over `segments`
        of (points, times), m at most `memory_bank_size`. Nothing else is kept of them."""
        bank = MemoryBank(self._capacity)
        for points, times in segments:
            bank.add(self._summary(self._local(points, times)))
        return self._across(bank.states)[:-1]

    def enrich(self, points: Tensor, times: Tensor, memory: Sequence[Tensor]) -> Tensor:
        """What one segment gains from a memory: [s, hidden] of `points` [s, hidden]."""
        local = self._local(points, times)
        state = summary = self._summary(local)
        for block, keys in zip(self.across, memory, strict=True):
            state = block(state, keys)
        return self._leave(local + state - summary)

    def _local(self, points: Tensor, times: Tensor) -> Tensor:
        """States [s, width] of one segment after the layers within it."""
        state: Tensor = self.enter(torch.cat((points, time_encoding(times)), dim=1))
        for block in self.within:
            state = block(state, state)
        return state

    def _summary(self, local: Tensor) -> Tensor:
        """What attention across sees of a segment: its mean [1, width], or all of it."""
        return local.mean(dim=0, keepdim=True) if self._hierarchical else local

    def _across(self, states: Tensor) -> list[Tensor]:
        """States [n, width] before each layer across, and after the last."""
        found = [states]
        for block in self.across:
            found.append(block(found[-1], found[-1]))
        return found

    def _leave(self, states: Tensor) -> Tensor:
        gained: Tensor = self.leave(self.norm(states))
        return gained
