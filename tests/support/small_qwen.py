"""A tiny Qwen2-VL with random weights, and questions that it can be asked."""

from pathlib import Path

import torch
from transformers import Qwen2VLForConditionalGeneration

from ntlbg_model.records import Question
from ntlbg_model.tiny_base import architecture

WORDS = ("red", "blue", "green", "white", "cyan")


def random_model(seed: int = 0) -> Qwen2VLForConditionalGeneration:
    """Weights large enough that answers differ."""
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(architecture.config(architecture.tokenizer())).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(std=2 * weight[0].numel() ** -0.5)
    return model


def question(
    number: int,
    video: str = "",
    frames: tuple[int, ...] = (),
    text: str = "what colour is the star that flashed?",
) -> Question:
    """A question about colours; the right one depends on the number."""
    name = video or f"v{number}"
    return Question(
        question_id=f"q{number}",
        video_id=name,
        video_path=Path(f"{name}.mp4"),
        question=text,
        candidates=WORDS,
        answer=number % len(WORDS),
        category="attribute",
        positions=frames,
    )
