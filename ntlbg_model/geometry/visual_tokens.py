"""How many language-model tokens a video becomes, reducer by reducer. Standard library only.

A grid is `pairs` x `height` x `width`: frame pairs kept, and merged vision tokens of each. The
published counts hold on the published grids, where a 'pair' is one frame of that model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ntlbg_model.config import ModelConfig, Reducer

QUERIES = 32
"""Queries of VideoLLaMA's Q-Formers (arXiv:2306.02858)."""
POOLED = (16, 12, 12)
"""PLLaVA's target of (time, rows, columns) (arXiv:2404.16994)."""
STC_PADDING = 1
"""Padding of Video-LLaMA2's strided convolution (arXiv:2406.07476, as released)."""


def halved(side: int) -> int:
    """A side after pooling with stride 2, odd rests dropped; never below one."""
    return max(1, side // 2)


def convolved(side: int, padding: int) -> int:
    """A side after a convolution with kernel and stride 2; never below one."""
    return max(1, (side + 2 * padding) // 2)


def qwen2_vl(pairs: int, height: int, width: int) -> int:
    """Every token."""
    return pairs * height * width


def llava_video(pairs: int, height: int, width: int) -> int:
    """Each side halved, and one newline token a row: 182 of 27 x 27."""
    return pairs * halved(height) * (halved(width) + 1)


def video_chatgpt(pairs: int, height: int, width: int) -> int:
    """One token a pair and one a place: 356 of 100 x 16 x 16."""
    return pairs + height * width


def videollama(pairs: int, height: int, width: int) -> int:
    """The queries, whatever the grid."""
    return QUERIES


def valley(pairs: int, height: int, width: int) -> int:
    """One token a place and one a pair."""
    return height * width + pairs


def video_llama2(pairs: int, height: int, width: int, padding: int = STC_PADDING) -> int:
    """All three sides convolved: 845 of 8 x 24 x 24, 576 without padding."""
    return convolved(pairs, padding) * convolved(height, padding) * convolved(width, padding)


def pllava(pairs: int, height: int, width: int) -> int:
    """Pooled to at most 16 x 12 x 12; a smaller side stays as it is."""
    time, rows, columns = POOLED
    return min(pairs, time) * min(height, rows) * min(width, columns)


COUNTS: dict[Reducer, Callable[[int, int, int], int]] = {
    "qwen2_vl": qwen2_vl,
    "llava_video": llava_video,
    "video_chatgpt": video_chatgpt,
    "videollama": videollama,
    "valley": valley,
    "video_llama2": video_llama2,
    "pllava": pllava,
}
"""Token count of each reducer."""


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """What decides the number and the places of a video's tokens."""

    reducer: Reducer = "qwen2_vl"
    appended_scales: bool = False
    """Each pair is followed by its grid at half size and its mean."""

    def tokens(self, pairs: int, height: int, width: int) -> int:
        """Tokens of `pairs` frame pairs with `height` x `width` merged tokens each."""
        count = COUNTS[self.reducer](pairs, height, width)
        if self.appended_scales:
            count += pairs * (halved(height) * halved(width) + 1)
        return count


def layout_of(model: ModelConfig) -> TokenLayout:
    """The layout that a model's options ask for."""
    points = model.rich_points
    return TokenLayout(
        reducer=model.reducer,
        appended_scales=points.enabled and points.multi_scale == "appended",
    )
