"""What a published video model makes of a frame, and how large it is. Standard library only.

LLaVA-OneVision (arXiv:2408.03326) and LLaVA-NeXT-Video (llava-vl.github.io) halve the patch grid;
Video-LLaVA (arXiv:2311.10122) keeps it, with the class token of every frame.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ntlbg_model.config import Architecture


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


FRAME_TOKENS: dict[Architecture, FrameTokens] = {
    "llava_onevision": FrameTokens(side=27, frame=_pooled_up, closing=1),
    "llava_next_video": FrameTokens(side=24, frame=_pooled_down),
    "video_llava": FrameTokens(side=16, frame=_with_class_token),
}
"""The architectures that are evaluated through their own class: 196, 144 and 257 tokens a frame on
the published grids."""

FRAMES_AT_ONCE = 16
"""Frames that go through the vision tower together."""
_GIB = 1024**3
_PATCH_BYTES = 2 * 1152 * 28
"""A patch in every layer of SigLIP-so400m, the largest of the towers, in 16 bit."""
_REFERENCE = (7.6, 0.6152)
"""A language model of 7.6 billion parameters takes this many GiB for 1000 tokens (`footprint`,
traced with recomputation, of which one forward pass is a part)."""


def activation_gib(architecture: Architecture, billions: float, tokens: int) -> float:
    """GiB in 16 bit of one forward pass over `tokens`, an estimate from above and not traced.

    The width of a language model is taken to go with the cube root of its parameters.
    """
    parameters, per_thousand = _REFERENCE
    width: float = (billions / parameters) ** (1 / 3)
    language = per_thousand * width * tokens / 1000
    patches = FRAMES_AT_ONCE * FRAME_TOKENS[architecture].side ** 2
    return language + patches * _PATCH_BYTES / _GIB
