"""A question with all pairs of its video: what a learned selection chooses from."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ntlbg_model.inputs.collate import Sample


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """One question, the features of its video's pairs, and how to ask it over some of them."""

    question_id: str
    words: Tensor
    """[S], token ids of the question's own text."""
    features: Tensor
    """[P, d]"""
    count: int
    """Pairs to keep."""
    target: int
    """Token that answers it."""
    keep: Callable[[Tensor], Sample]
    """The question over some pairs [k]."""
    teach: Callable[[], Tensor]
    """Computes the share [P] of the language model's attention that each pair gets."""
    others: tuple[Tensor, ...] = ()
    """Token ids of questions about other things."""
