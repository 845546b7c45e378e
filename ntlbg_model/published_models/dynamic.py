"""What models that take frames in their own shape share: limits, resizing, the vision tower."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ntlbg_model.config import Architecture
from ntlbg_model.geometry.pixel_limits import CELL, PixelLimits
from ntlbg_model.published_models.frames import preprocessing, transform_of
from ntlbg_model.published_models.model import NativeModel
from ntlbg_model.published_models.patches import cells
from ntlbg_model.published_models.prompt import chat_template


@dataclass(frozen=True, kw_only=True)
class DynamicModel(NativeModel):
    """A model whose tokens for a frame go with its pixels."""

    VIDEO = "<|video_pad|>"
    LIMITS: ClassVar[type[PixelLimits]]
    """How the pixels are counted."""

    limits: PixelLimits
    numbers: Mapping[str, Any]
    """The checkpoint's preprocessing file."""

    @classmethod
    def build(
        cls,
        source: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        architecture: Architecture,
    ) -> Self:
        numbers = preprocessing(source)
        limits = pixel_limits(numbers, cls.LIMITS)
        return cls(
            model=model,
            tokenizer=tokenizer,
            architecture=architecture,
            transform=transform_of(
                {**numbers, "size": {"height": limits.side, "width": limits.side}}
            ),
            template=chat_template(source),
            limits=limits,
            numbers=numbers,
        )

    def resized(self, frames: Tensor) -> Tensor:
        """Frames uint8 [n, H, W, 3] as float32 [n, 3, h, w], whole cells to each side."""
        down, across = self.limits.cells(len(frames), frames.shape[1], frames.shape[2])
        return self.transform.sized(down * self.limits.side, across * self.limits.side)(frames)

    def cells(self, values: Tensor) -> Tensor:
        """Resized frames as the patches of each token."""
        return cells(values, self.limits.PATCH, self.limits.TOGETHER)

    def grid(self, values: Tensor) -> tuple[int, int, int]:
        """Patches over time, down and across of resized frames [n, 3, h, w]."""
        frames, _, height, width = values.shape
        patch = self.limits.PATCH
        return frames // self.limits.TOGETHER, height // patch, width // patch

    def tower_inputs(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """All patches [n, numbers] of resized frames, and their grid [1, 3]."""
        grid = torch.tensor([self.grid(values)], device=self.readable)
        return self.cells(values).flatten(0, 2).to(self.model.device), grid

    @property
    def readable(self) -> torch.device:
        """Where sizes are kept that the tower reads: its device, where that has data."""
        device: torch.device = self.model.device
        return torch.device("cpu") if device.type == "meta" else device


def pixel_limits(numbers: Mapping[str, Any], kind: type[PixelLimits]) -> PixelLimits:
    """The limits in a preprocessing file. Raises ValueError where it describes other tokens."""
    expected = {
        "patch_size": kind.PATCH,
        "merge_size": CELL,
        "temporal_patch_size": kind.TOGETHER,
    }
    for name, fixed in expected.items():
        if numbers.get(name, fixed) != fixed:
            raise ValueError(f"{name} {numbers[name]!r} of a video's preprocessing is not {fixed}")
    size, published = numbers.get("size") or {}, kind()
    return kind(
        least=numbers.get("min_pixels") or size.get("shortest_edge", published.least),
        most=numbers.get("max_pixels") or size.get("longest_edge", published.most),
    )
