"""A person's question as a record, in words that the model knows."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ntlbg_model.backbone.prompt import Prompt, Scoring, build_prompt, speaks_in_turns
from ntlbg_model.records import Question


class QuestionError(ValueError):
    """A question that this model cannot be asked; one line that says why."""


def asked(
    video: Path, question: str, candidates: Sequence[str], words: PreTrainedTokenizerBase
) -> Question:
    """The record of a question about a video file. Raises QuestionError."""
    if not question.strip():
        raise QuestionError("the question is empty")
    if len(candidates) == 1:
        raise QuestionError("one option is no choice")
    return Question(
        question_id=question,
        video_id=video.stem,
        video_path=video,
        question=known(question, words),
        candidates=tuple(known(option, words) for option in candidates),
        answer=None,
        category="",
    )


def prompt_of(question: Question, words: PreTrainedTokenizerBase, scoring: Scoring) -> Prompt:
    """Its prompt; without options, the question alone. Raises QuestionError."""
    try:
        return build_prompt(question, words, scoring if question.candidates else "option_words")
    except ValueError as error:
        raise QuestionError(str(error)) from None


def known(text: str, words: PreTrainedTokenizerBase) -> str:
    """`text` as the tokenizer knows it; a closed vocabulary is in lower case.

    Raises QuestionError for a word outside it, with the nearest one inside.
    """
    if speaks_in_turns(words) or words.unk_token_id is None:
        return text
    lower = text.lower()
    for word in re.findall(r"\w+|[^\w\s]+", lower):
        if words.unk_token_id in words.encode(word, add_special_tokens=False):
            near = difflib.get_close_matches(word, words.get_vocab(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise QuestionError(f"this model does not know the word {word!r}{hint}")
    return lower
