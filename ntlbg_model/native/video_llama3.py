"""VideoLLaMA 3 (arXiv:2501.13106): frames in their own shape, tokens that repeat the frame before
left out, and the time of each frame in words.

The three steps are those of transformers' processor, whose video part needs torchvision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.data.records import Question
from ntlbg_model.native.frames import preprocessing, transform_of
from ntlbg_model.native.model import NativeModel
from ntlbg_model.native.pixels import CELL, FACTOR, PATCH, PixelLimits
from ntlbg_model.native.prompt import chat_template, native_prompt
from ntlbg_model.native.sample import NativeSample
from ntlbg_model.native.size import FRAMES_AT_ONCE

VIDEO = "<|video_pad|>"
CHANGE = 0.1
"""Mean difference from the same place a frame before, in levels of a normalised pixel's 255, above
which a token is kept (the report's threshold)."""


@dataclass(frozen=True, kw_only=True)
class VideoLlama3(NativeModel):
    """VideoLLaMA 3 in the class that transformers has for it."""

    VIDEO = VIDEO
    limits: PixelLimits
    prunes: bool
    """Whether tokens that repeat the frame before are left out."""

    @classmethod
    def build(
        cls,
        source: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        architecture: Architecture,
    ) -> Self:
        numbers = preprocessing(source)
        return cls(
            model=model,
            tokenizer=tokenizer,
            architecture=architecture,
            transform=transform_of({**numbers, "size": {"height": FACTOR, "width": FACTOR}}),
            template=chat_template(source),
            limits=pixel_limits(numbers),
            prunes=bool(numbers.get("use_token_compression", True)),
        )

    @classmethod
    def turns(cls, architecture: Architecture) -> str:
        return (
            "<|im_start|>system\nYou are VideoLLaMA3 created by Alibaba DAMO Academy, a helpful "
            "assistant to help people understand images and videos.<|im_end|>\n"
            f"<|im_start|>user\n{VIDEO}\n{{}}<|im_end|>\n<|im_start|>assistant\n"
        )

    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        values = self._resized(frames)
        tokens = values.shape[2] * values.shape[3] // FACTOR**2
        kept = changed(values) if self.prunes else torch.ones(len(values), tokens).bool()
        stamps = ",".join(f"Time {time:.1f}s:{VIDEO}" for time in times.tolist())
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
        down, across = (side // PATCH for side in sample.frames.shape[2:])
        parts: list[Tensor] = []
        for chunk in torch.split(sample.frames, FRAMES_AT_ONCE):
            found = self.model.model.get_video_features(
                cells(chunk).reshape(-1, chunk.shape[1] * PATCH**2).to(self.model.device),
                video_grid_thw=torch.tensor([[len(chunk), down, across]], device=self.model.device),
                video_merge_sizes=torch.tensor([CELL], device=self.model.device),
            )
            parts.extend(found.pooler_output)
        features = torch.cat(parts)
        return features if sample.kept is None else features[sample.kept.to(features.device)]

    def _resized(self, frames: Tensor) -> Tensor:
        """Frames uint8 [n, H, W, 3] as float32 [n, 3, h, w], whole cells to each side."""
        down, across = self.limits.cells(len(frames), frames.shape[1], frames.shape[2])
        return self.transform.sized(down * FACTOR, across * FACTOR)(frames)


def pixel_limits(numbers: Mapping[str, Any]) -> PixelLimits:
    """The limits in a preprocessing file. Raises ValueError where it describes other tokens."""
    for name, fixed in (("patch_size", PATCH), ("merge_size", CELL), ("temporal_patch_size", 1)):
        if numbers.get(name, fixed) != fixed:
            raise ValueError(f"{name} {numbers[name]!r} of a video's preprocessing is not {fixed}")
    size, published = numbers.get("size") or {}, PixelLimits()
    return PixelLimits(
        frame=numbers.get("min_pixels") or size.get("shortest_edge", published.frame),
        video=numbers.get("max_pixels") or size.get("longest_edge", published.video),
    )


def cells(values: Tensor) -> Tensor:
    """Frames [n, 3, h, w] as the patches of each token: [n, tokens, CELL**2, 3 * PATCH**2]."""
    frames, channels, height, width = values.shape
    parts = values.reshape(
        frames, channels, height // FACTOR, CELL, PATCH, width // FACTOR, CELL, PATCH
    )
    parts = parts.permute(0, 2, 5, 3, 6, 1, 4, 7)
    return parts.reshape(frames, -1, CELL**2, channels * PATCH**2)


def changed(values: Tensor) -> Tensor:
    """Which tokens of frames [n, 3, h, w] are kept, bool [n, tokens]: all of the first frame, then
    those that differ from the frame before, and one of every frame."""
    tokens = cells(values).flatten(2)
    kept = torch.ones(tokens.shape[:2], dtype=torch.bool)
    kept[1:] = (tokens[1:] - tokens[:-1]).abs().mean(-1) * 255 > CHANGE
    kept[:, 0] |= ~kept.any(1)
    return kept
