"""The optimizer of every stage of the build."""

from collections.abc import Iterable

import torch
from torch import nn

WARM_UP = 60


class StageOptimizer:
    """AdamW with a warm-up of 60 steps and a linear decay over the second half of the stage."""

    def __init__(self, parameters: Iterable[nn.Parameter], steps: int, rate: float = 1e-3) -> None:
        self._parameters = list(parameters)
        self._adam = torch.optim.AdamW(
            self._parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self._rate = torch.optim.lr_scheduler.LambdaLR(
            self._adam, lambda step: min(1.0, (step + 1) / WARM_UP, 2 * (1 - step / steps) + 0.01)
        )

    def step(self, loss: torch.Tensor) -> float:
        """One update; returns the loss."""
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._adam.step()
        self._rate.step()
        return float(loss.detach())
