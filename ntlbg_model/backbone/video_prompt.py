"""A batch of prompts with their videos, and one question to a language model: the next token."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from ntlbg_model.backbone.video_points import VideoPoints


@dataclass(frozen=True, kw_only=True)
class VideoPrompt:
    """A right-padded batch of prompts with their videos."""

    input_ids: Tensor
    """[B, S]"""
    position_ids: Tensor
    """[3, B, S]"""
    pixels: Tensor
    """uint8 [pairs of all rows, 2, H, W, 3], row after row."""
    answer_at: Tensor
    """[B], index of the last prompt token: its logits are the answer's."""
    videos: tuple[VideoPoints, ...]
    """The points of each row's video."""
    gate: Tensor | None = None
    """[pairs of all rows], zero in value: how the answer tells a learned selection which pairs
    served it."""
    sources: tuple[tuple[str, int], ...] = ()
    """Video and pair index of each pair of all rows; empty where a video is not known by name."""

    def to(self, device: torch.device | str) -> "VideoPrompt":
        """The same batch on `device`."""
        return VideoPrompt(
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            pixels=self.pixels.to(device),
            answer_at=self.answer_at.to(device),
            videos=tuple(points.to(device) for points in self.videos),
            gate=None if self.gate is None else self.gate.to(device),
            sources=self.sources,
        )


def next_token_logits(
    model: nn.Module, prompt: VideoPrompt, tokens: Tensor, **options: Tensor
) -> Tensor:
    """Logits [B, vocabulary] in float32 of the token after each prompt.

    `tokens` [video tokens of all rows, d] take the places of the video tokens. Padding is on the
    right, so causal attention needs no mask, and only the answer positions go through the
    vocabulary matrix. `options` go to the language model as they are.
    """
    positions, column = torch.unique(prompt.answer_at, return_inverse=True)
    output = model(
        input_ids=prompt.input_ids,
        position_ids=prompt.position_ids,
        mm_encoder_outputs={"video": BaseModelOutputWithPooling(pooler_output=(tokens,))},
        logits_to_keep=positions,
        use_cache=False,
        **options,
    )
    rows = torch.arange(column.numel(), device=column.device)
    logits: Tensor = output.logits[rows, column].float()
    return logits
