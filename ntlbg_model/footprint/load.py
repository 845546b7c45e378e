"""What one sample puts through the model. Standard library only."""

from dataclasses import dataclass

from ntlbg_model.config import PAIR, Config
from ntlbg_model.footprint.shapes import shape_of
from ntlbg_model.geometry.published_size import video_size
from ntlbg_model.geometry.visual_tokens import layout_of

PATCH = 14
MERGE = 2


@dataclass(frozen=True, kw_only=True)
class Load:
    """One sample's sizes."""

    frames: int
    """Frames kept."""
    patches: int
    """Vision patches of 14 x 14 pixels and two frames."""
    visual_tokens: int
    """Language-model tokens of the video."""
    tokens: int
    """All tokens of the sequence."""


def load_of(config: Config) -> Load:
    """The load of the longest video the config admits."""
    frames = (
        config.video.candidates(config.video.max_frames)
        if config.selection.method == "all_frames"
        else config.video.representatives(config.video.max_frames)
    )
    height, width = config.video.frame_resolution
    pairs, side = frames // PAIR, PATCH * MERGE
    patches = pairs * (height // PATCH) * (width // PATCH)
    visual = layout_of(config.model).tokens(pairs, height // side, width // side)
    words = shape_of(config.model.base_model).text_tokens
    if config.model.architecture != "qwen2_vl":
        native = video_size(config.model.architecture, frames, config.video.frame_resolution)
        visual, patches = native.tokens, native.patches
        words += native.words
    return Load(
        frames=frames,
        patches=patches,
        visual_tokens=visual,
        tokens=visual + words,
    )
