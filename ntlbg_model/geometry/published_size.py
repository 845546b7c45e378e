"""What a published video model makes of a video, and how large it is. Standard library only.

LLaVA-OneVision (arXiv:2408.03326) and LLaVA-NeXT-Video (llava-vl.github.io) halve the patch grid;
Video-LLaVA (arXiv:2311.10122) keeps it, with the class token of every frame. The Q-Former of
InstructBLIP (arXiv:2305.06500) reads any grid into 32 tokens. VideoLLaMA 3 (arXiv:2501.13106) and
Qwen3-VL (arXiv:2511.21631) take frames in their own shape (`pixels`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ntlbg_model.config import Architecture
from ntlbg_model.geometry.pixel_limits import CELL, PairPixelLimits, PixelLimits


@dataclass(frozen=True, kw_only=True)
class FrameTokens:
    """Language-model tokens of a video as an architecture counts them."""

    side: int
    """Patches along a side of the published frame."""
    frame: Callable[[int], int]
    """Tokens of a frame by that side."""
    closing: int = 0
    """Tokens that follow the last frame."""

    def tokens(self, frames: int, side: int | None = None) -> int:
        """Tokens of `frames` frames, on the published grid or one of `side` x `side` patches."""
        return frames * self.frame(side or self.side) + self.closing


def _pooled_up(side: int) -> int:
    return ((side + 1) // 2) ** 2


def _pooled_down(side: int) -> int:
    return (side // 2) ** 2


def _with_class_token(side: int) -> int:
    return side**2 + 1


def _queries(side: int) -> int:
    return 32


FRAME_TOKENS: Mapping[Architecture, FrameTokens] = MappingProxyType(
    {
        "llava_onevision": FrameTokens(side=27, frame=_pooled_up, closing=1),
        "llava_next_video": FrameTokens(side=24, frame=_pooled_down),
        "video_llava": FrameTokens(side=16, frame=_with_class_token),
        "instructblipvideo": FrameTokens(side=16, frame=_queries),
    }
)
"""The architectures that take frames of one shape: 196, 144, 257 and 32 tokens a frame as
published."""

PIXELS: Mapping[Architecture, PixelLimits] = MappingProxyType(
    {"video_llama_3": PixelLimits(), "qwen3_vl": PairPixelLimits()}
)
"""The architectures that take frames in their own shape."""

FRAMES_AT_ONCE = 16
"""Frames that go through the vision tower together."""
_STAMP = 12
"""Text tokens where the time of a frame is written: 'Time 1234.5s:' and a comma, or the like."""
_GIB = 1024**3
_PATCH_BYTES = 2 * 1408 * 40
"""A patch in every layer of EVA's ViT-g, the largest of the towers, in 16 bit."""
_REFERENCE = (7.6, 0.6152)
"""A language model of 7.6 billion parameters takes this many GiB for 1000 tokens (`footprint`,
traced with recomputation, of which one forward pass is a part)."""


@dataclass(frozen=True, kw_only=True)
class VideoSize:
    """What a video costs, from above: nothing pruned."""

    patches: int
    """Vision patches of all frames."""
    tokens: int
    """Video tokens in the language model's input."""
    words: int = 0
    """Text tokens that are written between frames."""


def video_size(architecture: Architecture, frames: int, resolution: tuple[int, int]) -> VideoSize:
    """What `frames` frames decoded at `resolution` (height, width) cost an architecture."""
    if architecture in FRAME_TOKENS:
        fixed = FRAME_TOKENS[architecture]
        return VideoSize(patches=frames * fixed.side**2, tokens=fixed.tokens(frames))
    limits = PIXELS[architecture]
    down, across = limits.cells(frames, *resolution)
    steps = frames // limits.TOGETHER
    tokens = steps * down * across
    return VideoSize(patches=tokens * CELL**2, tokens=tokens, words=steps * _STAMP)


def architecture_of(kind: str) -> str:
    """The architecture that evaluates a checkpoint of model type `kind`, where there is one.

    InstructBLIP's own checkpoints are those of its class for video.
    """
    return "instructblipvideo" if kind == "instructblip" else kind


def activation_gib(billions: float, tokens: int, frame_patches: int) -> float:
    """GiB in 16 bit of one forward pass over `tokens`, an estimate from above and not traced.

    The width of a language model is taken to go with the cube root of its parameters.
    """
    parameters, per_thousand = _REFERENCE
    width: float = (billions / parameters) ** (1 / 3)
    language = per_thousand * width * tokens / 1000
    return language + FRAMES_AT_ONCE * frame_patches * _PATCH_BYTES / _GIB
