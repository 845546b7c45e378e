"""Qwen3-VL (arXiv:2511.21631): two frames to a token, the time of each pair in words, and features
of several depths of the vision tower for the first layers of the language model.

Kept pairs of adjacent frames are its pairs. The prompt is that of transformers' processor.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.geometry.pixel_limits import CELL, PairPixelLimits
from ntlbg_model.geometry.published_size import FRAMES_AT_ONCE
from ntlbg_model.published_models.dynamic import DynamicModel
from ntlbg_model.published_models.prompt import native_prompt
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question

VIDEO_KIND = 2
"""What transformers calls a video's token among kinds of tokens; a word's is 0."""


class Qwen3Vl(DynamicModel):
    """Qwen3-VL in the class that transformers has for it."""

    LIMITS = PairPixelLimits

    @classmethod
    def turns(cls, architecture: Architecture) -> str:
        return (
            f"<|im_start|>user\n<|vision_start|>{cls.VIDEO}<|vision_end|>{{}}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        values = self.resized(frames)
        pairs, down, across = self.grid(values)
        shown = "".join(
            f"<{time:.1f} seconds><|vision_start|>{self.VIDEO}<|vision_end|>"
            for time in times.view(pairs, -1).mean(1).tolist()
        )
        prompt, between = native_prompt(question, self.tokenizer, scoring, self.words, shown)
        return NativeSample(
            prompt=prompt,
            frames=values,
            runs=(down * across // CELL**2,) * pairs,
            between=between,
        )

    @torch.no_grad()
    def features(self, sample: NativeSample) -> Tensor:
        """[video tokens, d x depths]: what the tower ends with, then what it passed on the way."""
        parts: list[Tensor] = []
        for chunk in torch.split(sample.frames, FRAMES_AT_ONCE):
            found = self.model.model.get_video_features(*self.tower_inputs(chunk))
            depths = (found.pooler_output, *found.deepstack_features)
            parts.append(torch.cat([torch.cat(depth) for depth in depths], dim=-1))
        return torch.cat(parts)

    def beside(
        self, samples: Sequence[NativeSample], video: Tensor, deeper: Sequence[Tensor]
    ) -> Mapping[str, Any]:
        length = video.shape[1]
        places = [self.positions(sample) for sample in samples]
        padded = [pad(place, (0, length - place.shape[-1])) for place in places]
        return {
            "position_ids": torch.cat(padded, dim=1).to(video.device),
            "visual_pos_masks": video,
            "deepstack_visual_embeds": list(deeper),
        }

    def positions(self, sample: NativeSample) -> Tensor:
        """Places in time, down and across [3, 1, S], as the class has them."""
        token = self.model.config.video_token_id
        ids = sample.token_ids(token).unsqueeze(0)
        places: Tensor
        places, _ = self.model.model.get_rope_index(
            ids,
            (ids == token).int() * VIDEO_KIND,
            video_grid_thw=torch.tensor([self.grid(sample.frames)]),
        )
        return places
