"""A question in the words that a published video model was taught with."""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from ntlbg_model.backbone.prompt import Prompt, Scoring, distinct, wording
from ntlbg_model.records import Question

Between = tuple[tuple[int, ...], ...]
"""Tokens between the places of a video, for each place but the last."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """How a question is put to a checkpoint."""

    turns: str
    """Used where the checkpoint has no chat template of its own; {} is the question."""
    template: str | None
    """The checkpoint's chat template."""
    video: str | None
    """Stands for the video in a prompt, and is a token of its own; None: the video comes before
    the first word."""


def chat_template(source: str) -> str | None:
    """The processor's chat template of a hub name or local folder, where it has one."""
    plain = cached_file(source, "chat_template.jinja", _raise_exceptions_for_missing_entries=False)
    if plain is not None:
        return Path(plain).read_text(encoding="utf-8")
    packed = cached_file(source, "chat_template.json", _raise_exceptions_for_missing_entries=False)
    if packed is None:
        return None
    template: str = json.loads(Path(packed).read_text(encoding="utf-8"))["chat_template"]
    return template


def native_prompt(
    question: Question,
    tokenizer: PreTrainedTokenizerBase,
    scoring: Scoring,
    words: Words,
    shown: str | None = None,
) -> tuple[Prompt, Between]:
    """The prompt of one question, split where the video goes; options as `build_prompt` has them.

    The whole text is tokenised at once, as the model's own processor does, and an option is the
    token that would continue it. `shown`: what takes the place of `words.video`, with that token
    for each of several places. Raises ValueError where two options begin alike, or the prompt has
    not one place for the video.
    """
    whole = spoken(question, tokenizer, scoring, words)
    if words.video is not None:
        _check_one_place(whole, words.video, question.question_id)
        whole = whole.replace(words.video, shown or words.video)
    ids = _encode(tokenizer, whole)
    before, between, after = _around(ids, _places(ids, tokenizer, words.video))
    answers = wording(question, scoring)[1]
    gap = "" if whole[-1].isspace() else " "
    continued = [_encode(tokenizer, whole + gap + word)[len(ids)] for word in answers]
    options = distinct(tuple(continued), answers, question.question_id)
    return Prompt(before=before, after=after, options=options), between


def spoken(
    question: Question, tokenizer: PreTrainedTokenizerBase, scoring: Scoring, words: Words
) -> str:
    """The whole prompt as text, `words.video` where the video goes."""
    text = wording(question, scoring)[0]
    if words.template is None:
        return words.turns.format(text)
    content = [{"type": "video"}, {"type": "text", "text": text}]
    rendered: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=words.template,
        tokenize=False,
        add_generation_prompt=True,
    )
    return rendered


def _check_one_place(whole: str, video: str, question_id: str) -> None:
    found = whole.count(video)
    if found == 0:
        raise ValueError(f"the checkpoint's chat template has no {video} for a video")
    if found > 1:
        raise ValueError(f"question {question_id!r} holds {video}, which is the video's")


def _places(ids: list[int], tokenizer: PreTrainedTokenizerBase, video: str | None) -> list[int]:
    if video is None:
        return []
    token = tokenizer.convert_tokens_to_ids(video)
    return [at for at, one in enumerate(ids) if one == token]


def _around(ids: list[int], places: list[int]) -> tuple[tuple[int, ...], Between, tuple[int, ...]]:
    """Tokens before the first place, between places, and after the last."""
    if not places:
        return (), (), tuple(ids)
    between = tuple(tuple(ids[here + 1 : there]) for here, there in pairwise(places))
    return tuple(ids[: places[0]]), between, tuple(ids[places[-1] + 1 :])


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    begins = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    return list(tokenizer.encode(text, add_special_tokens=not begins))
