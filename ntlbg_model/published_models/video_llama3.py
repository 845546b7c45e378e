"""VideoLLaMA 3 (arXiv:2501.13106): frames in their own shape, tokens that repeat the frame before
left out, and the time of each frame in words.

The three steps are those of transformers' processor, whose video part needs torchvision.
"""

import torch
from torch import Tensor

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.geometry.pixel_limits import CELL, PixelLimits
from ntlbg_model.geometry.published_size import FRAMES_AT_ONCE
from ntlbg_model.published_models.dynamic import DynamicModel
from ntlbg_model.published_models.prompt import native_prompt
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question

CHANGE = 0.1
"""Mean difference from the same place a frame before, in normalised values times 255, above which
a token is kept."""


class VideoLlama3(DynamicModel):
    """VideoLLaMA 3 in the class that transformers has for it."""

    LIMITS = PixelLimits

    @classmethod
    def turns(cls, architecture: Architecture) -> str:
        return (
            "<|im_start|>system\nYou are VideoLLaMA3 created by Alibaba DAMO Academy, a helpful "
            "assistant to help people understand images and videos.<|im_end|>\n"
            f"<|im_start|>user\n{cls.VIDEO}\n{{}}<|im_end|>\n<|im_start|>assistant\n"
        )

    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        values = self.resized(frames)
        tokens = self.cells(values).flatten(2)
        prunes = self.numbers.get("use_token_compression", True)
        kept = changed(tokens) if prunes else torch.ones(tokens.shape[:2], dtype=torch.bool)
        stamps = ",".join(f"Time {time:.1f}s:{self.VIDEO}" for time in times.tolist())
        prompt, between = native_prompt(question, self.tokenizer, scoring, self.words, stamps)
        return NativeSample(
            prompt=prompt,
            frames=values,
            runs=tuple(kept.sum(1).tolist()),
            between=between,
            kept=kept.flatten(),
        )

    @torch.no_grad()
    def features(self, sample: NativeSample) -> Tensor:
        parts: list[Tensor] = []
        merged = torch.tensor([CELL], device=self.readable)
        for chunk in torch.split(sample.frames, FRAMES_AT_ONCE):
            patches, grid = self.tower_inputs(chunk)
            parts += self.model.model.get_video_features(patches, grid, merged).pooler_output
        features = torch.cat(parts)
        return features if sample.kept is None else features[sample.kept.to(features.device)]


def changed(tokens: Tensor) -> Tensor:
    """Which tokens of frames [n, tokens, numbers] are kept, bool [n, tokens]: all of the first
    frame, then those that differ from the frame before, and one of every frame."""
    kept = torch.ones(tokens.shape[:2], dtype=torch.bool)
    kept[1:] = (tokens[1:] - tokens[:-1]).abs().mean(-1) * 255 > CHANGE
    kept[:, 0] |= ~kept.any(1)
    return kept
