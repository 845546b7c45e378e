"""Losses that are not finite, and the probe that finds them before half precision trains."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ADVICE = {
    "fp16": "use training.precision 'bf16' on a card that has it, or 'fp32'",
    "bf16": "use training.precision 'fp32'",
}
"""What to do instead, by half precision. fp16 ends at 65504, bf16 at fp32's 3.4e38."""


SKIPS_IN_A_ROW = 5
"""Steps that are not finite in a row after which skipping them helps no more."""


class NonFiniteLossError(Exception):
    """The loss, or in a probe its gradient, became NaN or infinite."""


@dataclass
class Skips:
    """Optimizer steps that were left out because they were not finite."""

    loss_was_broken: bool = False
    """Whether this worker saw a loss that is not finite since the last step."""
    _in_a_row: int = 0
    _untold: int = 0

    def saw_loss(self) -> None:
        """A micro-batch's loss is not finite."""
        self.loss_was_broken = True

    def count(self, broken: bool, step: int) -> None:
        """Note a step that ends. Raises NonFiniteLossError after too many."""
        self.loss_was_broken = False
        self._in_a_row = self._in_a_row + 1 if broken else 0
        self._untold += broken
        if self._in_a_row >= SKIPS_IN_A_ROW:
            raise NonFiniteLossError(
                f"{self._in_a_row} steps in a row were not finite, the last of them step {step}"
            )

    def take(self) -> float:
        """Steps left out since this was asked last."""
        taken, self._untold = self._untold, 0
        return float(taken)


def what_is_not_finite(
    model: nn.Module, loss: Callable[[], Tensor], *, backward: bool = True
) -> str | None:
    """Runs one forward and backward pass and says what is not finite in it, or None.

    Without `backward` only the loss is looked at, for an engine that would keep the gradients.
    No trace is left: gradients are dropped, and the state of torch's random numbers is restored.
    The loss is not scaled up as for a GradScaler, whose skipped steps are no error.
    """
    device = next(model.parameters()).device
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.set_grad_enabled(backward),
    ):
        value = loss()
        if backward:
            value.backward()  # type: ignore[no-untyped-call]
    wrong = [name for name, weight in model.named_parameters() if _is_broken(weight.grad)]
    if backward:
        model.zero_grad(set_to_none=True)
    if not value.isfinite():
        return f"the loss is {value.item()}"
    return f"the gradient of {wrong[0]} is not finite" if wrong else None


def _is_broken(gradient: Tensor | None) -> bool:
    return gradient is not None and not bool(gradient.isfinite().all())


def refusal(precision: str, found: str | None) -> NonFiniteLossError:
    """The error of a probe, in one line; `found` is None where another worker found it."""
    what = found or "another worker's loss or gradient is not finite"
    return NonFiniteLossError(
        f"training.precision {precision}: {what} on the first batch, before any step; "
        f"{ADVICE[precision]}"
    )
