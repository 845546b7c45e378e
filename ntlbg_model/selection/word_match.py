"""How much a pair shows of what the question names, by the backbone's own embeddings.

The vision tower speaks the language model's words: its merged tokens take the places of words in
the input. So each content word of the question is compared with them as CLIP compares a text with
an image. Words differ in how near they are to any frame at all; only what varies over the video
tells frames apart, so each word's similarity is standardised over the video before the best counts.
"""

import re

import torch
import torch.nn.functional as functional
from torch import Tensor

from ntlbg_model.backbone.model import Backbone

_STOP_WORDS = (
    "a about after all an and any are as at be been before being but by can could did do does "
    "during for from had has have he her him his how i if in into is it its many me more most "
    "much my no not of on one or our out over right she so some than that the their them then "
    "there they this times to up was we were what when where which while who whom whose why will "
    "with would you your"
)
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""Words that name nothing to be seen."""


def content_words(question: str) -> list[str]:
    """The distinct words of a question that are no stop words; all its words, if it has no other.

    In lower case and in order.
    """
    words = list(dict.fromkeys(re.findall(r"\w+", question.lower())))
    return [word for word in words if word not in STOP_WORDS] or words


@torch.no_grad()
def word_vectors(backbone: Backbone, question: str) -> Tensor:
    """Unit vectors [w, hidden] of the content words, from the language model's input embeddings.

    A word of several tokens is their mean; tokens unknown to the vocabulary are left out.
    """
    table = backbone.base.get_input_embeddings().weight
    unknown = backbone.tokenizer.unk_token_id
    vectors = []
    for word in content_words(question):
        # With the space before it, as it stands in a sentence.
        ids = backbone.tokenizer.encode(f" {word}", add_special_tokens=False)
        known = [token for token in ids if token != unknown]
        if known:
            vectors.append(table[known].float().mean(dim=0))
    rows = torch.stack(vectors) if vectors else table.new_zeros(0, table.shape[1]).float()
    return functional.normalize(rows, dim=1)


def best_word(tokens: Tensor, words: Tensor) -> Tensor:
    """Similarity [P] of pairs to a question; zeros where the question has no known word.

    For each word, the largest cosine between `words` [w, hidden] (unit) and a pair's `tokens`
    [P, n, hidden], standardised over the video; of these, the best word's.
    """
    if not words.shape[0]:
        return torch.zeros(tokens.shape[0], device=tokens.device)
    lengths = tokens.float().norm(dim=2, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    cosines = (tokens.float() @ words.T / lengths).amax(dim=1)
    deviations = cosines.std(dim=0, correction=0)
    spread = torch.where(deviations > 0, deviations, torch.ones_like(deviations))
    standardised: Tensor = (cosines - cosines.mean(dim=0)) / spread
    return standardised.amax(dim=1)
