"""Questions with their kept frames, as batches for the backbone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ntlbg_model.backbone.positions import around_video, batch_positions
from ntlbg_model.backbone.prompt import Prompt
from ntlbg_model.backbone.video_points import VideoPoints
from ntlbg_model.backbone.video_prompt import VideoPrompt
from ntlbg_model.backbone.vision import merge_grid
from ntlbg_model.geometry.visual_tokens import TokenLayout
from ntlbg_model.reducers.build import token_positions


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question and the frame pairs it is asked over."""

    prompt: Prompt
    pixels: Tensor
    """uint8 [k, 2, H, W, 3]"""
    pairs: Tensor
    """[k], index of each kept pair among the video's candidates."""
    answer: int | None
    """Index of the right option."""
    points: VideoPoints | None = None
    """The pairs' times and context; None: as if a pair took a second."""
    layout: TokenLayout = field(default_factory=TokenLayout)
    """What the model makes of the vision grid."""
    tokens_per_second: float | None = None
    """Temporal ids a second; None: a pair's id is its index among the candidates."""
    video: str = ""
    """The video's file, by which features of its pairs are remembered; empty: they are not."""

    @property
    def grid(self) -> tuple[int, int]:
        """Language-model tokens (h, w) of a pair."""
        return merge_grid(self.pixels.shape[2], self.pixels.shape[3])

    @property
    def video_tokens(self) -> int:
        """Video tokens in the language model's input."""
        return self.layout.tokens(self.pairs.numel(), *self.grid)


def gather_pairs(pixels: Tensor, pairs: Tensor) -> Tensor:
    """Frames [k, 2, H, W, 3] of the kept `pairs` [k] of `pixels` [n, H, W, 3]."""
    return torch.stack((pixels[2 * pairs], pixels[2 * pairs + 1]), dim=1)


def collate(samples: Sequence[Sample], video_token: int) -> VideoPrompt:
    """A right-padded batch. Videos may differ in their number of pairs, not in resolution."""
    rows = [_row(sample, video_token) for sample in samples]
    return VideoPrompt(
        input_ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        position_ids=batch_positions([_positions(sample) for sample in samples]),
        pixels=torch.cat([sample.pixels for sample in samples]),
        answer_at=torch.tensor([row.numel() - 1 for row in rows]),
        videos=tuple(_points(sample) for sample in samples),
        sources=_sources(samples),
    )


def targets(samples: Sequence[Sample]) -> Tensor:
    """Token [B] that each prompt should be answered with.

    Raises ValueError for a question whose answer is not known.
    """
    return torch.tensor([answer_token(sample.prompt, sample.answer) for sample in samples])


def answer_token(prompt: Prompt, answer: int | None) -> int:
    """Token that a prompt should be answered with. Raises ValueError where it is not known."""
    if answer is None:
        raise ValueError("a question without an answer cannot be trained on")
    return prompt.options[answer]


def _row(sample: Sample, video_token: int) -> Tensor:
    video = (video_token,) * sample.video_tokens
    return torch.tensor((*sample.prompt.before, *video, *sample.prompt.after))


def _positions(sample: Sample) -> Tensor:
    before, after = len(sample.prompt.before), len(sample.prompt.after)
    video = token_positions(sample.layout, _temporal_ids(sample), sample.grid)
    return around_video(before, video, after)


def _temporal_ids(sample: Sample) -> Tensor:
    """Ids [k] of the pairs, rounded down as transformers does but for the rounding of times."""
    if sample.tokens_per_second is None:
        return sample.pairs
    return (_points(sample).times * sample.tokens_per_second + 1e-3).long()


def _sources(samples: Sequence[Sample]) -> tuple[tuple[str, int], ...]:
    if not all(sample.video for sample in samples):
        return ()
    return tuple((sample.video, pair) for sample in samples for pair in sample.pairs.tolist())


def _points(sample: Sample) -> VideoPoints:
    if sample.points is not None:
        return sample.points
    return VideoPoints(pairs=sample.pairs, times=sample.pairs.float())
