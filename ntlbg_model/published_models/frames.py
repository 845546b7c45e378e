"""Frames as a published checkpoint wants them, from the numbers in its preprocessing file.

transformers' video processors need torchvision; the arithmetic is theirs: resize with antialias
to whole levels, crop about the centre, scale, normalise.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from transformers.utils.hub import cached_file

FILES = ("video_preprocessor_config.json", "processor_config.json", "preprocessor_config.json")
"""Where the numbers lie, the most particular first."""
INTERPOLATIONS = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of the two that torch can do with antialias."""


@dataclass(frozen=True, kw_only=True)
class FrameTransform:
    """From decoded frames to a vision tower's input."""

    size: tuple[int, int] | int
    """(height, width) that a frame is resized to, or its shorter side."""
    crop: tuple[int, int] | None
    """(height, width) kept about the centre."""
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    scale: float
    """What a level of 0 to 255 is multiplied with."""
    interpolation: str

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after resizing."""
        if isinstance(self.size, tuple):
            return self.size
        if height <= width:
            return self.size, int(self.size * width / height)
        return int(self.size * height / width), self.size

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what the vision tower gets."""
        return self.crop or self.resized(height, width)

    def sized(self, height: int, width: int) -> Self:
        """The same transform to another size."""
        return replace(self, size=(height, width))

    def __call__(self, frames: Tensor) -> Tensor:
        """Frames uint8 [n, H, W, 3] on the CPU as float32 [n, 3, h, w]."""
        x = frames.permute(0, 3, 1, 2)
        size = self.resized(*x.shape[2:])
        if size != tuple(x.shape[2:]):
            # In whole levels, so that overshoot is cut after each direction, as Pillow does.
            x = interpolate(x, size, mode=self.interpolation, antialias=True)
        if self.crop is not None:
            x = _centre(x, *self.crop)
        mean, deviation = (
            torch.tensor(values).view(-1, 1, 1) for values in (self.mean, self.deviation)
        )
        return (x.float() * self.scale - mean) / deviation


def preprocessing(source: str) -> Mapping[str, Any]:
    """The preprocessing numbers of a hub name or local folder, a video's before an image's.

    Raises OSError where it has none.
    """
    for name in FILES:
        found = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
        if found is None:
            continue
        options = json.loads(Path(found).read_text(encoding="utf-8"))
        options = options.get("video_processor", options)
        if "image_mean" in options:
            numbers: Mapping[str, Any] = options
            return numbers
    raise OSError(f"no preprocessing numbers in {', '.join(FILES)}")


def transform_of(options: Mapping[str, Any]) -> FrameTransform:
    """The transform that a preprocessing file describes. Raises ValueError."""
    size, resample = options.get("size"), options.get("resample", 3)
    if not isinstance(size, Mapping) or not {"height", "shortest_edge"} & set(size):
        raise ValueError(f"size {size!r} of the preprocessing is neither a shape nor a side")
    if resample not in INTERPOLATIONS:
        raise ValueError(f"resample {resample!r} of the preprocessing is not one of 2 and 3")
    crop = options.get("crop_size") if options.get("do_center_crop") else None
    return FrameTransform(
        size=(size["height"], size["width"]) if "height" in size else size["shortest_edge"],
        crop=None if crop is None else (crop["height"], crop["width"]),
        mean=tuple(options["image_mean"]),
        deviation=tuple(options["image_std"]),
        scale=options.get("rescale_factor", 1 / 255),
        interpolation=INTERPOLATIONS[resample],
    )


def check_fits(transform: FrameTransform, frames: Tensor, side: int) -> None:
    """Raises ValueError where `frames` [n, H, W, 3] do not become the tower's `side` x `side`."""
    height, width = transform.output(frames.shape[1], frames.shape[2])
    if (height, width) != (side, side):
        raise ValueError(
            f"frames become {height} x {width}, and the vision tower takes "
            f"{side} x {side}: a square video.frame_resolution fits"
        )


def _centre(x: Tensor, height: int, width: int) -> Tensor:
    top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    if top < 0 or left < 0:
        raise ValueError(f"frames of {x.shape[2]} x {x.shape[3]} are cropped to {height} x {width}")
    return x[:, :, top : top + height, left : left + width]
