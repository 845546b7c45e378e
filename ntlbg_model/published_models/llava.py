"""LLaVA-OneVision, LLaVA-NeXT-Video and Video-LLaVA: a fixed number of tokens for a frame."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from ntlbg_model.backbone.prompt import Scoring
from ntlbg_model.config import Architecture
from ntlbg_model.geometry.published_size import FRAME_TOKENS, FRAMES_AT_ONCE
from ntlbg_model.published_models.frames import check_fits
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.prompt import native_prompt
from ntlbg_model.published_models.sample import NativeSample
from ntlbg_model.records import Question

TURNS: Mapping[Architecture, str] = MappingProxyType(
    {
        "llava_onevision": "<|im_start|>user <video>\n{}<|im_end|><|im_start|>assistant\n",
        "llava_next_video": "USER: <video>\n{} ASSISTANT:",
        "video_llava": "USER: <video>\n{} ASSISTANT:",
    }
)
"""How the first checkpoint of each architecture is asked."""


class Llava(NativeModel):
    """One of the three LLaVA classes that were taught with video."""

    @classmethod
    def turns(cls, architecture: Architecture) -> str:
        return TURNS[architecture]

    @property
    def side(self) -> int:
        """Patches along a side of a frame."""
        vision = self.model.config.vision_config
        return int(vision.image_size // vision.patch_size)

    def ask(
        self, question: Question, frames: Tensor, times: Tensor, scoring: Scoring
    ) -> NativeSample:
        check_fits(self.transform, frames, self.model.config.vision_config.image_size)
        prompt, _ = native_prompt(question, self.tokenizer, scoring, self.words)
        tokens = FRAME_TOKENS[self.architecture].tokens(len(frames), self.side)
        return NativeSample(prompt=prompt, frames=frames, runs=(tokens,))

    @torch.no_grad()
    def features(self, sample: NativeSample) -> Tensor:
        closing = FRAME_TOKENS[self.architecture].closing
        parts: list[Tensor] = []
        for chunk in torch.split(sample.frames, FRAMES_AT_ONCE):
            values = self.transform(chunk).to(self.model.device, self.model.dtype)
            found = self.model.model.get_video_features(values.unsqueeze(0)).pooler_output
            if closing and parts:
                parts[-1] = parts[-1][:-closing]
            parts.append(found.flatten(0, -2))
        return torch.cat(parts)
