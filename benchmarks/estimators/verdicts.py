"""How far predictions are from a reference, and what they would have decided. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LIMITS = {"V100-32GB": 30.7, "A100-40GB": 38.2, "A100-80GB": 76.8}
"""GiB that a plan fills of each card."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One step: the peak that counts, and what each tool says of it, GiB."""

    name: str
    group: str
    reference: float
    predictions: Mapping[str, float | None]
    """None where a tool has no answer."""

    def ratio(self, tool: str) -> float | None:
        """Predicted / reference."""
        found = self.predictions[tool]
        return None if found is None else found / self.reference


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A tool over several steps."""

    steps: int
    lowest: float
    median: float
    highest: float
    false_fits: int
    """Steps and cards that the tool puts below the limit and the reference above."""
    false_refusals: int
    decisions: int
    """Steps x cards."""


def verdict(rows: Iterable[Row], tool: str, limits: Iterable[float]) -> Verdict | None:
    """A tool against the reference; None where it has no answers."""
    pairs = [(found, row.reference) for row in rows if (found := row.predictions[tool]) is not None]
    if not pairs:
        return None
    ratios = [found / reference for found, reference in pairs]
    asked = [(found, reference, limit) for found, reference in pairs for limit in limits]
    return Verdict(
        steps=len(pairs),
        lowest=min(ratios),
        median=median(ratios),
        highest=max(ratios),
        false_fits=sum(found <= limit < reference for found, reference, limit in asked),
        false_refusals=sum(reference <= limit < found for found, reference, limit in asked),
        decisions=len(asked),
    )


def groups_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by group, in their order, and all of them."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found | {"all": list(rows)}
