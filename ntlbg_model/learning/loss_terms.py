"""What the loss is made of between two metric lines."""

from collections.abc import Mapping

from torch import Tensor

PREFIX = "loss_"
"""Goes before the name of a term in the Trainer's log and in metric lines."""


class TermMeans:
    """Running means of weighted loss terms, kept on their device: nothing waits for them."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._batches = 0

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Count one micro-batch."""
        self._batches += 1
        for name, value in terms.items():
            known = self._sums.get(name)
            self._sums[name] = value.detach() if known is None else known + value.detach()

    def take(self) -> dict[str, Tensor]:
        """The mean of each term since the last call; empty where nothing was counted."""
        means = {name: total / self._batches for name, total in self._sums.items()}
        self._sums, self._batches = {}, 0
        return means
