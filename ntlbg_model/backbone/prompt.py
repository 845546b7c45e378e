"""Questions as token ids, and which tokens stand for the options."""

from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from ntlbg_model.records import Question

Scoring = Literal["option_words", "letters"]

VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
VIDEO_PAD = "<|video_pad|>"
TURN = "<|im_start|>"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A question's tokens around the video, and its options' tokens at the answer position."""

    before: tuple[int, ...]
    """Up to and with the token that opens the video."""
    after: tuple[int, ...]
    """From the token that closes the video to the last before the answer."""
    options: tuple[int, ...]
    """First token of each option, distinct."""

    def length(self, video_tokens: int) -> int:
        """Tokens of the whole prompt."""
        return len(self.before) + video_tokens + len(self.after)


def build_prompt(
    question: Question, tokenizer: PreTrainedTokenizerBase, scoring: Scoring
) -> Prompt:
    """The prompt of one question: video first, then text, as Qwen2-VL is trained.

    letters: options are listed as 'A. ...' and their letters compete. option_words: the options
    are not listed and their first tokens compete. Raises ValueError where two options begin with
    the same token, which no score can tell apart.
    """
    text, words = wording(question, scoring)
    opening, closing = _frame(tokenizer)
    return Prompt(
        before=_encode(tokenizer, opening + VISION_START),
        after=_encode(tokenizer, VISION_END + text + closing),
        options=_option_tokens(tokenizer, words, question.question_id),
    )


def wording(question: Question, scoring: Scoring) -> tuple[str, list[str]]:
    """What is asked, and the words that may answer it: letters or the options' own."""
    if scoring == "option_words":
        return question.question, list(question.candidates)
    names = [chr(ord("A") + i) for i in range(len(question.candidates))]
    lines = [f"{n}. {c}" for n, c in zip(names, question.candidates, strict=True)]
    ask = "Answer with the option's letter from the given choices directly."
    return "\n".join([question.question, *lines, ask]), names


def distinct(tokens: tuple[int, ...], words: list[str], question_id: str) -> tuple[int, ...]:
    """`tokens` as they are. Raises ValueError where two options begin with the same one."""
    if len(set(tokens)) < len(tokens):
        raise ValueError(
            f"question {question_id!r}: options {words} do not differ in their first token; "
            "score by letters"
        )
    return tokens


def speaks_in_turns(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the model was taught to chat; one that was not answers with a single word."""
    return TURN in tokenizer.get_vocab()


def _frame(tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What goes before and after: chat turns where the tokenizer knows them."""
    if not speaks_in_turns(tokenizer):
        return "", " answer"
    system = f"{TURN}system\nYou are a helpful assistant.<|im_end|>\n{TURN}user\n"
    return system, f"<|im_end|>\n{TURN}assistant\n"


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def _option_tokens(
    tokenizer: PreTrainedTokenizerBase, words: list[str], question_id: str
) -> tuple[int, ...]:
    return distinct(tuple(_encode(tokenizer, word)[0] for word in words), words, question_id)
