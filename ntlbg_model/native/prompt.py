"""A question in the words that a published video model was taught with."""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from ntlbg_model.backbone.prompt import Prompt, Scoring, distinct, wording
from ntlbg_model.config import Architecture
from ntlbg_model.data.records import Question

VIDEO = "<video>"
"""Stands for the video in a prompt, and is a token of its own."""

TURNS: dict[Architecture, str] = {
    "llava_onevision": "<|im_start|>user <video>\n{}<|im_end|><|im_start|>assistant\n",
    "llava_next_video": "USER: <video>\n{} ASSISTANT:",
    "video_llava": "USER: <video>\n{} ASSISTANT:",
}
"""How the first checkpoint of each architecture is asked; used where a checkpoint has no chat
template of its own."""


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
    architecture: Architecture,
    template: str | None,
) -> Prompt:
    """The prompt of one question, split where the video goes; options as `build_prompt` has them.

    The whole text is tokenised at once, as the model's own processor does, and an option is the
    token that would continue it. Raises ValueError where two options begin alike, or the prompt
    has not one place for the video.
    """
    text, words = wording(question, scoring)
    whole = _asked(text, tokenizer, architecture, template)
    ids = _encode(tokenizer, whole)
    video = tokenizer.convert_tokens_to_ids(VIDEO)
    if ids.count(video) != 1:
        raise ValueError(f"question {question.question_id!r} holds {VIDEO}, which is the video's")
    at = ids.index(video)
    gap = "" if whole[-1].isspace() else " "
    continued = [_encode(tokenizer, whole + gap + word)[len(ids)] for word in words]
    return Prompt(
        before=tuple(ids[:at]),
        after=tuple(ids[at + 1 :]),
        options=distinct(tuple(continued), words, question.question_id),
    )


def _asked(
    text: str, tokenizer: PreTrainedTokenizerBase, architecture: Architecture, template: str | None
) -> str:
    if template is None:
        return TURNS[architecture].format(text)
    content = [{"type": "video"}, {"type": "text", "text": text}]
    rendered: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )
    return rendered


def _encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    begins = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    return list(tokenizer.encode(text, add_special_tokens=not begins))
