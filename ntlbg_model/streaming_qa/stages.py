"""Where the time of an answer goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

STAGES = ("decoding", "features", "selection", "vision_tower", "language_model")
"""In the order in which a video goes through them."""


class Stages:
    """Seconds of each stage so far; zero for one that was not needed."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the block's time by the clock to `stage`; on a GPU, until its work is done."""
        _finish()
        started = self._clock()
        try:
            yield
        finally:
            _finish()
            self.seconds[stage] += self._clock() - started


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
