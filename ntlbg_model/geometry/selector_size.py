"""Number of parameters of the learned selector, by option. Standard library only."""

from ntlbg_model.config import Config
from ntlbg_model.geometry.connector_size import CONTEXT_WIDTH

FEATURE_WIDTHS = {"pixels": CONTEXT_WIDTH, "backbone": 2560, "clip": 768, "siglip": 1152}
"""Width of the features: thumbnails; mean and deviation of Qwen2-VL's vision blocks; the image
vectors of CLIP-L/14 and SigLIP2-so400m. Another encoder's differ a little."""
SHAPES = 5
"""Scalars that a question sets: level and width of the contour, two weights, the floor."""


def selector_parameters(config: Config, hidden: int) -> int:
    """Parameters of the config's learned selector beside a language model `hidden` wide; none
    without one."""
    selection, width = config.selection, config.model.ntlbg_hidden_size
    if selection.query != "learned":
        return 0
    rank = selection.rank
    encoder = 3 * hidden + 1 + (2 * hidden + 1) * width + (width + 1) * width
    gaussian = (width + 1) * (2 * rank + rank * selection.query_rank + 1)
    aligned = rank if config.training.loss.feature_alignment > 0 else 0
    heads = gaussian + (width + 1) * (SHAPES + aligned)
    return FEATURE_WIDTHS[selection.features] * rank + encoder + heads
